#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander';
import { EXPORT_FORMATS } from '../operations/export-formats.ts';
import { addAuthority } from './authority.ts';
import { EXIT, failureOf } from './errors.ts';
import type { ExportFlags } from './export-file.ts';
import { collect, commaSeparated, seconds, wholeNumber } from './option-values.ts';
import { dataOf, DEFAULT_URL, readSettings, type GlobalOptions, type Settings } from './settings.ts';

const HELP = `
Exit codes: ${EXIT.ok} completed; ${EXIT.failed} failed, cancelled or timed out; ${EXIT.usage} wrong usage; ${EXIT.interrupted} after Ctrl-C.`;

const program = new Command('arbor')
  .description('One room for the people, programs and agents that share a long job.')
  .option('--url <url>', `where the server is (ARBOR_URL, ${DEFAULT_URL})`)
  .option('--data <dir>', 'the data directory of the server, where its credentials are (ARBOR_DATA, .arbor)')
  .option('--token <token>', 'an API key or the token of a client (ARBOR_TOKEN)')
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'arbor: ')) })
  .addHelpText('after', HELP);

const globals = (): GlobalOptions => program.opts<GlobalOptions>();

/** A subcommand that calls the server; its promise is the exit code. */
const online =
  <Args extends unknown[]>(act: (settings: Settings, ...args: Args) => Promise<number>) =>
  async (...args: Args): Promise<void> => {
    process.exitCode = await act(await readSettings(globals()), ...args);
  };

program
  .command('serve')
  .description('run the server')
  .option('--http <host:port>', 'where HTTP and MQTT over WebSocket listen (127.0.0.1:7070)')
  .option('--mqtt <host:port>', 'where MQTT listens (127.0.0.1:1883)')
  .option('--config <file>', 'the configuration (arbor.config.{js,mjs,ts})')
  .action(async (flags: { http?: string; mqtt?: string; config?: string }) => {
    const { data } = globals();
    const { serve } = await import('./serve.ts');
    process.exit(await serve(data === undefined ? flags : { ...flags, data }));
  });

program
  .command('demo')
  .description('show a command-line, a web and an API client in one session')
  .action(async () => {
    const { demo } = await import('./demo.ts');
    process.exit(await demo());
  });

program
  .command('run')
  .description('run a command and wait for its end')
  .argument('<command>', 'its name; "arbor run help" lists them')
  .argument('[args...]', 'its arguments: in order, or as --name value')
  .option('--session <session>', 'in this session instead of a new one')
  .option('--arg <name=value>', 'an argument whose name is that of an option here', collect)
  .option('--timeout <seconds>', 'from acceptance, queueing included', seconds)
  .option('--detach', 'print the id of the execution and leave it to itself')
  .option('--keep', 'leave the new session open')
  .option('--json', 'print the answer as JSON')
  .allowUnknownOption()
  .action(
    online(async (settings, name: string, words: string[], flags: Record<string, never>) => {
      const { run } = await import('./run.ts');
      return run(settings, name, words, flags);
    }),
  );

program
  .command('watch')
  .description('print the events of a session, from the first')
  .argument('<session>')
  .option('--after <seq>', 'only those after this one', wholeNumber)
  .option('--until-closed', 'end when the session does')
  .option('--no-prompt', 'do not ask what the session asks')
  .option('--json', 'print each as JSON')
  .action(
    online(async (settings, session: string, flags: Record<string, never>) => {
      const { watch } = await import('./watch.ts');
      return watch(settings, session, flags);
    }),
  );

program
  .command('sessions')
  .description('list your sessions')
  .option('--all', 'also those that have ended')
  .option('--json', 'print them as JSON')
  .action(
    online(async (settings, flags: Record<string, never>) => {
      const { listSessions } = await import('./sessions.ts');
      return listSessions(settings, flags);
    }),
  );

program
  .command('export')
  .description('write the events of a session to a file')
  .argument('<session>')
  .addOption(new Option('--format <format>', 'how').choices(EXPORT_FORMATS).default('json'))
  .option('--output <file>', 'where to; "-" is standard output (<session>.<format>)')
  .option('--types <list>', 'only events of these types, separated by commas', commaSeparated)
  .option('--after <seq>', 'only those after this one', wholeNumber)
  .option('--until <seq>', 'only those up to this one', wholeNumber)
  .option('--json', 'print what was written as JSON')
  .action(
    online(async (settings, session: string, flags: ExportFlags) => {
      const { exportSession } = await import('./export.ts');
      return exportSession(settings, session, flags);
    }),
  );

program
  .command('cancel')
  .description('cancel an execution')
  .argument('<execution>')
  .action(
    online(async (settings, execution: string) => {
      const { cancel } = await import('./cancel.ts');
      return cancel(settings, execution);
    }),
  );

for (const said of ['confirm', 'reject'] as const)
  program
    .command(said)
    .description(`${said} what a session asks`)
    .argument('<coordination>', 'the id of the question (crd_…)')
    .option('--comment <text>', 'shown with the vote')
    .option('--json', 'print the question as JSON')
    .action(
      online(async (settings, coordination: string, flags: Record<string, never>) => {
        const { vote } = await import('./vote.ts');
        return vote(settings, said, coordination, flags);
      }),
    );

program
  .command('backup')
  .description('copy the data directory, also while a server runs on it')
  .argument('<directory>', 'the backup, which is made')
  .action(async (target: string) => {
    const { backup } = await import('./backup.ts');
    process.exitCode = await backup(dataOf(globals()), target);
  });

program
  .command('restore')
  .description('make the data directory from a backup')
  .argument('<backup>')
  .option('--force', 'move what is there aside')
  .action(async (from: string, flags: { force?: boolean }) => {
    const { restore } = await import('./restore.ts');
    process.exitCode = await restore(dataOf(globals()), from, flags);
  });

addAuthority({ program, globals, online });

// A reader that has seen enough (`arbor watch … | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed),
);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  else {
    const { line, code } = failureOf(error, globals().url ?? process.env['ARBOR_URL'] ?? DEFAULT_URL);
    process.stderr.write(`arbor: ${line}\n`);
    // The server's threads may be up in part, and would keep the process.
    process.exit(code);
  }
}
