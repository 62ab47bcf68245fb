// What vmmc understands: parses, calls, prints. Exit: 0 as expected, 1 broken, 2 undecided or nothing ran, 64 usage, 130 interrupted.

import { Command, CommanderError } from 'commander';
import { isForUser, lastWords, usage } from './usage.ts';

const list = (value: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), value];
/** Runs one command; resolves to its exit code. */
export const main = async (args: readonly string[]): Promise<number> => {
  const program = new Command('vmmc')
    .description('Judge what a virtual machine monitor really does against executable specifications.')
    .exitOverride()
    .configureOutput({
      writeErr: (text) => process.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'vmmc: ')),
    });
  let status = 0;
  const runs = (code: Promise<number>): Promise<void> =>
    code.then((n) => {
      status = n;
    });

  program
    .command('check')
    .description('explore a target: generate programs, judge what it does, report')
    .argument('[target]', 'target, see vmmc targets', 'ref')
    .option('--area <prefix>', 'only these areas (dotted prefix; repeatable)', list)
    .option('--clause <id>', 'only these clauses, by programs of their areas (repeatable)', list)
    .option('--runs <n>', 'programs per suite; default: each suite has its own number')
    .option('--for <time>', 'stop after a time instead of a number of programs: 60s, 2m; not together with --runs')
    .option('--seed <n>', 'seed of the programs', '1')
    .option('--shard <i/n>', 'the i-th of n parts')
    .option('--jobs <n>', 'play and judge in n threads, each with a connection of its own; the result is the same')
    .option('--strict', 'advice (should) fails too')
    .option('--deviations <file>', 'known deviations, or none')
    .option('--report <kind[=file]>', 'console, json, junit, tap, markdown, github (repeatable)', list)
    .option('--save <dir>', 'where counterexamples are written, a trace each; it is made where it is not there', 'traces/found')
    .action(async (target, options) => runs((await import('./commands/check.ts')).checkCommand(target, options)));
  program
    .command('clauses')
    .description('every clause and every row of the sources, and how it ends')
    .option('--area <prefix>', 'only these areas', list)
    .option('--json', 'machine-readable')
    .option('--write', 'update the committed table')
    .action(async (options) => runs((await import('./commands/clauses.ts')).clausesCommand(options)));
  program
    .command('targets')
    .description('which implementations this machine can run')
    .option('--json', 'machine-readable')
    .action(async (options) => runs((await import('./commands/targets.ts')).targetsCommand(options)));
  program
    .command('serve')
    .description('the reference over stdin and stdout, as an adapter')
    .action(async () => runs((await import('./commands/serve.ts')).serveCommand()));
  program
    .command('adapter')
    .description('smoke-test an adapter before blaming what it drives')
    .argument('<command>', 'the adapter, as a shell would start it')
    .action(async (command) => runs((await import('./commands/adapter.ts')).adapterCommand(command)));
  program
    .command('replay')
    .description('judge recordings; with --on, run their stimuli on a target and judge that')
    .argument('<trace...>', 'traces, plain or gzip')
    .option('--on <target>', 'run the stimuli there')
    .action(async (traces, options) => runs((await import('./commands/replay.ts')).replayCommand(traces, options)));
  program
    .command('record')
    .description('play programs on a target and keep what was seen')
    .argument('<target>')
    .option('--area <prefix>', 'area of the programs', list)
    .requiredOption('-o, --output <file>', 'the trace to write')
    .option('--runs <n>', 'programs', '50')
    .option('--seed <n>', 'seed of the programs', '1')
    .action(async (target, options) => runs((await import('./commands/record.ts')).recordCommand(target, options)));
  program
    .command('show')
    .description('a trace in the words of the field')
    .argument('<trace>')
    .option('--step', 'with what the judge says at each event')
    .action(async (trace, options) => runs((await import('./commands/show.ts')).showCommand(trace, options)));
  program
    .command('diff')
    .description('the first difference of two traces')
    .argument('<a>')
    .argument('<b>')
    .action(async (a, b) => runs((await import('./commands/diff.ts')).diffCommand(a, b)));
  program
    .command('minimize')
    .description('the shortest part of a trace that still shows its finding on a target')
    .argument('<trace>')
    .requiredOption('--on <target>', 'the target that shows it')
    .option('-o, --output <file>', 'where to write the result')
    .action(async (trace, options) => runs((await import('./commands/minimize.ts')).minimizeCommand(trace, options)));
  program
    .command('agree')
    .description('the same programs on several targets: one table')
    .argument('<targets...>')
    .option('--area <prefix>', 'only these areas', list)
    .option('--runs <n>', 'programs per suite', '300')
    .option('--seed <n>', 'seed of the programs', '1')
    .option('--save <dir>', 'where traces of differences are written', 'traces/found')
    .option('--json', 'machine-readable')
    .action(async (targets, options) => runs((await import('./commands/agree.ts')).agreeCommand(targets, options)));
  program
    .command('faults')
    .description('the kill matrix: seeded fault against clause')
    .argument('[area]', 'dotted prefix, or the id of a fault')
    .option('--json', 'machine-readable')
    .option('--write', 'update the committed matrix')
    .action(async (area, options) => runs((await import('./commands/faults.ts')).faultsCommand(area, options)));
  program
    .command('classify')
    .description('which instructions are sensitive and which trap, derived by experiment and compared with the table')
    .option('--json', 'machine-readable')
    .action(async (options) => runs((await import('./commands/classify.ts')).classifyCommand(options)));
  for (const reserved of ['explain'])
    program.command(reserved, { hidden: true }).action(() => {
      throw usage(`vmmc ${reserved} is reserved; it comes with the area it belongs to`);
    });

  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) status = error.exitCode === 0 ? 0 : 64;
    else if (isForUser(error) && typeof (error as { kind?: unknown }).kind === 'string') {
      const said = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr : '';
      process.stderr.write(`vmmc: ${lastWords(error.message, said)}\n`);
      status = error.kind === 'adapter' || (error as { truncated?: unknown }).truncated === true ? 2 : 64;
    } else {
      process.stderr.write(
        `vmmc: internal error, please report it: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
      );
      status = 70;
    }
  }
  return status;
};
