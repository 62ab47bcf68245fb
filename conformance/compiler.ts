// How much of one function the engine weaves into another when it compiles: less than it would by itself. A check is short and its code is wide, so what is
// woven together is soon undone, when a rare path is first met, and compiled anew: compiling took a third of all processor time of a check.

import { setFlagsFromString } from 'node:v8';

/** In bytes of bytecode a function; V8's own measure is 920. A check of 12,000 single instructions takes a ninth less time, of the other areas a little
 *  less; only past some 100,000 programs would V8's own be better, by a thirtieth. */
setFlagsFromString('--max-inlined-bytecode-size-cumulative=300');
