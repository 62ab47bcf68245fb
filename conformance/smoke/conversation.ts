// Whether an adapter holds a conversation: every line answered once, in order, whatever it asks; and it ends when told.

import type { Capability } from '../../spec/units.ts';
import type { Session, Told } from '../targets/exec/session.ts';
import { smokeMachine } from './block-request.ts';
import { type Claim, lastWords, type Red, red, shown } from './claim.ts';

export const conversation = (session: () => Session): readonly Claim[] => {
  let offers: readonly Capability[] = [];
  const gone = (told: Told | undefined, verb: string): Red | undefined => {
    if (told !== undefined && !('gone' in told)) return undefined;
    const fix = verb === 'hello' ? 'the command must start and answer {"seq":1,"hello":1}' : `answer every ${verb} line, and go on`;
    session().close(); // then its last words are complete
    return red(`the adapter ${told?.gone ?? 'said nothing'} at ${verb}${lastWords(session().stderr())}`, fix);
  };
  return [
    {
      check: 'hello is answered with protocol, name, version and offers',
      run: () => {
        const [told] = session().ask([{ hello: 1 }]);
        if (told === undefined || !('hello' in told))
          return gone(told, 'hello') ?? red(`hello was answered ${shown(told)}`, 'answer "hello"');
        offers = told.hello.offers;
        return `${told.hello.name}, version ${told.hello.version}, offers ${offers.join(', ') || 'nothing'}`;
      },
    },
    {
      check: 'seq is repeated, whatever it is',
      run: () => {
        const seq = 4_000_000_000;
        const told = session().askLine(`{"seq":${seq},"hello":1}`, seq);
        return gone(told, 'hello') ?? `${seq} came back`;
      },
    },
    {
      check: 'a reset is granted, or refused as unsupported',
      run: () => {
        const [told] = session().ask([{ reset: smokeMachine, file: session().memory }]);
        if (told !== undefined && ('granted' in told || 'unsupported' in told)) return shown(told);
        return gone(told, 'reset') ?? red(`reset was answered ${shown(told)}`, 'answer "granted"; "broke" is for a target that died');
      },
    },
    {
      check: 'an unknown stimulus is unsupported',
      run: () => {
        const seq = session().next;
        const told = session().askLine(`{"seq":${seq},"apply":{"do":"vmmc.unheard-of"}}`, seq);
        const fix = 'answer {"seq":…,"unsupported":"why"} to every stimulus that you do not know: there will be more of them';
        if ('unsupported' in told) return told.unsupported;
        return gone(told, 'apply') ?? red(`it was answered ${shown(told)}`, fix);
      },
    },
    {
      check: 'lines may be sent before earlier ones are answered',
      run: () => {
        const told = session().ask(Array.from({ length: 3 }, () => ({ apply: { do: 'virtio.status.read' } as const })));
        return gone(told.at(-1), 'apply') ?? `${told.length} answers, in order`;
      },
    },
    {
      check: 'bye ends the process',
      run: () =>
        session().bye()
          ? 'its output ended'
          : red(
              'it still runs, or a child of it holds its stdout',
              'exit on {"seq":…,"bye":true} and at the end of stdin, together with all children',
            ),
    },
  ];
};
