// The smoke test of an adapter: whether a program speaks the protocol well enough that a finding would be about what it drives.
// Each check is a claim; a red one says what came instead and what to change. Later checks are left out where they could only repeat it.

import type { Answer, Capability, MachineConfig } from '../spec/units.ts';
import type { Stimulus } from '../spec/vocabulary.ts';
import { negotiation, reading, readingSeen, smokeMachine } from './smoke-request.ts';
import { isAdapterError } from './targets/exec/blame.ts';
import { type ExecTarget, execTarget } from './targets/exec/exec.ts';
import { type Session, startSession, type Told } from './targets/exec/session.ts';
import { type SharedMemory, shareMemory } from './targets/exec/shared-memory.ts';
import { startWatchdog } from './targets/exec/watchdog.ts';

export interface SmokeCheck {
  readonly check: string;
  readonly ok: boolean;
  /** What was seen. */
  readonly detail: string;
  /** What to change; only where not ok. */
  readonly fix?: string;
}
export interface SmokeOptions {
  /** How long one line may stay unanswered, in milliseconds; 5,000 unless told. */
  readonly deadlineMs?: number;
}
interface Red {
  readonly red: string;
  readonly fix: string;
}
const red = (what: string, fix: string): Red => ({ red: what, fix });
type Outcome = string | Red;
interface Claim {
  readonly check: string;
  readonly run: () => Outcome;
}

const shown = (told: unknown): string =>
  JSON.stringify(told, (_, value: unknown) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value));

const lastWords = (stderr: string): string => {
  const said = stderr.trimEnd().split('\n').slice(-3).join(' | ');
  return said === '' ? '' : `; its stderr ends: ${said}`;
};

const conversation = (session: () => Session): readonly Claim[] => {
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

const saw = (answer: Answer | undefined): string => (answer === undefined ? 'nothing' : shown(answer));
const failing = (stimuli: readonly Stimulus[], answers: readonly Answer[]): Red | undefined => {
  const at = answers.findIndex((answer) => !('saw' in answer));
  if (at < 0) return undefined;
  return red(
    `${stimuli[at]?.do} was answered ${saw(answers[at])}`,
    `${stimuli[at]?.do} is needed for a virtio block device: answer it with "saw"`,
  );
};

const request = (target: () => ExecTarget): readonly Claim[] => {
  let seen: ReturnType<typeof readingSeen> | undefined;
  const grant = (machine: MachineConfig): Outcome => {
    const got = target().reset(machine);
    if (!('granted' in got)) return red(`reset was answered ${shown(got)}`, 'grant a block device with "bus":"none" and 64 KiB of memory');
    const { offers, memory } = got.granted;
    if (memory.seen !== 'unseen' && !offers.includes('memory.seen')) {
      return red('memory is seen, but "memory.seen" is not offered', 'add "memory.seen" to the offers of hello');
    }
    if (memory.seen === 'ordered' && !offers.includes('memory.order')) {
      return red('memory is seen in order, but "memory.order" is not offered', 'add "memory.order" to the offers of hello');
    }
    return `memory is ${memory.seen}`;
  };
  return [
    {
      check: 'two resets in a row are granted',
      run: () => {
        const first = grant(smokeMachine);
        return typeof first === 'string' ? grant(smokeMachine) : first;
      },
    },
    {
      check: 'features are offered and accepted',
      run: () => {
        const answers = target().applyAll(negotiation);
        const all = answers.flatMap((answer) => ('saw' in answer ? answer.saw : []));
        const offered = all.find((o) => o.saw === 'virtio.features');
        const status = all.find((o) => o.saw === 'virtio.status');
        const wrong = failing(negotiation.slice(0, -1), answers.slice(0, -1));
        if (wrong !== undefined) return wrong;
        if (offered === undefined)
          return red('virtio.features.read was answered without virtio.features', 'answer {"saw":"virtio.features","offered":"0x…"}');
        if ((offered.offered & (1n << 32n)) === 0n)
          return red('VIRTIO_F_VERSION_1 (bit 32) is not offered', 'offer it: only virtio 1.x is judged');
        if (status !== undefined && (status.value & 8) === 0)
          return red(`FEATURES_OK was not kept: status ${status.value}`, 'accept bit 32 alone');
        return `offered 0x${offered.offered.toString(16)}`;
      },
    },
    {
      check: 'one block request is used',
      run: () => {
        const answers = target().applyAll(reading);
        const wrong = failing(reading, answers);
        if (wrong !== undefined) return wrong;
        seen = readingSeen(answers);
        if (seen.usedIndex === 1) return `used index 1, len ${seen.usedLength}`;
        return red(
          `the used index is ${seen.usedIndex}, not 1`,
          'map "file" of the reset line MAP_SHARED (again at every reset), read the rings there when virtq.notify comes, answer settle only when the work is done',
        );
      },
    },
    {
      check: 'its data and status stand in guest memory',
      run: () => {
        if (seen?.status !== 0) return red(`the status byte is ${seen?.status}`, 'write VIRTIO_BLK_S_OK (0) into the last writable byte');
        if (seen.pattern) return 'sector 2 holds the pattern';
        return red(
          'sector 2 does not hold the pattern',
          'fill the disk: each 16-bit little-endian word holds its own index; or grant "disk":"unknown"',
        );
      },
    },
    {
      check: 'its interrupt is reported',
      run: () =>
        seen?.interrupt
          ? 'with the notification or before settled'
          : red(
              'no interrupt was reported',
              'answer virtq.notify or settle with {"saw":"interrupt","from":"queue"}, after the memory it tells of',
            ),
    },
    {
      check: 'a reset forgets it all',
      run: () => {
        const again = grant(smokeMachine);
        if (typeof again !== 'string') return again;
        const answer = target().apply({ do: 'virtio.status.read' });
        if ('unsupported' in answer) return 'the status cannot be read';
        const status = 'saw' in answer ? answer.saw.find((o) => o.saw === 'virtio.status') : undefined;
        if (status?.value !== 0) return red(`the status after a reset: ${saw(answer)}`, 'build a fresh device at every reset line');
        const changed = 'saw' in answer ? answer.saw.find((o) => o.saw === 'memory.changed') : undefined;
        return changed
          ? red('memory changed by itself after the reset', 'stop everything of the old machine before answering reset')
          : 'status 0';
      },
    },
  ];
};

const tried = (claim: Claim): SmokeCheck => {
  const { check } = claim;
  try {
    const outcome = claim.run();
    if (typeof outcome === 'string') return { check, ok: true, detail: outcome };
    return { check, ok: false, detail: outcome.red, fix: outcome.fix };
  } catch (error) {
    if (!isAdapterError(error)) throw error;
    const { message, fix, stderr } = error;
    return { check, ok: false, detail: message.slice(0, -fix.length - 2) + lastWords(stderr), fix };
  }
};

/** Tries an adapter, cheapest checks first; a red check ends its part. */
export const smokeTest = async function* (command: string, options: SmokeOptions = {}): AsyncGenerator<SmokeCheck, void, void> {
  const { deadlineMs = 5_000 } = options;
  const watchdog = startWatchdog();
  let session: Session | undefined;
  let file: SharedMemory | undefined;
  let target: ExecTarget | undefined;
  const begin = (): Session => {
    const begun = startSession(command, watchdog, deadlineMs);
    file = shareMemory(begun.memory);
    file.clear(smokeMachine.memory, smokeMachine.fill);
    return begun;
  };
  try {
    for (const claim of conversation(() => (session ??= begin()))) {
      const result = tried(claim);
      yield result;
      if (!result.ok) return;
    }
    session?.close();
    target = execTarget(command, { deadlineMs });
    if (!target.hello.offers.includes('virtio.blk')) return;
    for (const claim of request(() => target as ExecTarget)) {
      const result = tried(claim);
      yield result;
      if (!result.ok) return;
    }
  } finally {
    session?.close();
    file?.close();
    target?.close();
    watchdog.close();
  }
};
