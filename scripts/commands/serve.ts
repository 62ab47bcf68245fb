// vmmc serve: the reference over stdio, in the protocol that exec: speaks.

import { serve } from '../../conformance/serve.ts';
import { refTarget } from '../../conformance/targets/ref/ref.ts';

export const serveCommand = async (): Promise<number> => {
  const target = refTarget();
  await serve(target, process.stdin, process.stdout);
  target.close();
  return 0;
};
