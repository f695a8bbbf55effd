import { Option, type Command } from 'commander';
import { CLIENT_TYPES, OPERATIONS, RISKS } from '../../machines/capability.ts';
import { duration, someOf, wholeNumber } from './option-values.ts';
import { readGivenSettings, type GlobalOptions, type Settings } from './settings.ts';

/** What the subcommands are given. */
interface Surroundings {
  readonly program: Command;
  readonly globals: () => GlobalOptions;
  /** A subcommand that calls the server; its promise is the exit code. */
  readonly online: <Args extends unknown[]>(
    act: (settings: Settings, ...args: Args) => Promise<number>,
  ) => (...args: Args) => Promise<void>;
}

const addSharing = ({ program, globals, online }: Surroundings): void => {
  program
    .command('share')
    .description('make a token by which others join a session')
    .argument('<session>')
    .option('--read-only', 'they may watch, and run what only reads')
    .option('--operations <list>', `of ${OPERATIONS.join(', ')}, separated by commas`, someOf(OPERATIONS))
    .option('--scope <pattern...>', 'the commands they may run: names, or beginnings of names and *')
    .option('--max-operations <n>', 'so many in all (100)', wholeNumber)
    .option('--expires-in <time>', '30s, 15m, 2h, 7d, or seconds (1d)', duration)
    .addOption(new Option('--max-risk <risk>', 'no command of a higher risk').choices(RISKS))
    .option('--may-share', 'they may share on')
    .option('--rate-limit <n>', 'so many an hour', wholeNumber)
    .option('--label <text>', 'what you will know it by')
    .option('--json', 'print the answer as JSON')
    .action(
      online(async (settings, session: string, flags: Record<string, never>) => {
        const { share } = await import('./share.ts');
        return share(settings, session, flags);
      }),
    );

  program
    .command('shares')
    .description('list the shares of a session')
    .argument('<session>')
    .option('--all', 'also those that have ended')
    .option('--json', 'print them as JSON')
    .action(
      online(async (settings, session: string, flags: Record<string, never>) => {
        const { listShares } = await import('./share.ts');
        return listShares(settings, session, flags);
      }),
    );

  program
    .command('join')
    .description('join a session by the token of a share and print its events until Ctrl-C')
    .argument('[token]', 'of a share; "-" reads it from standard input; without it, ARBOR_SHARE_TOKEN')
    .addOption(new Option('--type <type>', 'as what').choices(CLIENT_TYPES).default('cli'))
    .option('--name <name>', 'how others see you', 'arbor join')
    .option('--after <seq>', 'only events after this one', wholeNumber)
    .option('--detach', 'print the session, the client and its token, and leave it joined')
    .option('--json', 'print each event, or the answer, as JSON')
    .addHelpText('after', '\nCredentials of your own are sent where --token or ARBOR_TOKEN gives them, else none.')
    .action(async (token: string | undefined, flags: Record<string, never>) => {
      const { join } = await import('./join.ts');
      process.exitCode = await join(readGivenSettings(globals()), token, flags as never);
    });

  program
    .command('revoke')
    .description('revoke a share or a capability, and all that descends from it')
    .argument('<id>', 'of a share (shr_…) or of a capability (cap_…)')
    .action(
      online(async (settings, id: string) => {
        const { revoke } = await import('./revoke.ts');
        return revoke(settings, id);
      }),
    );
};

const addTokens = ({ program, online }: Surroundings): void => {
  const token = program.command('token').description('manage API keys');
  token
    .command('create')
    .description('make a key of a principal')
    .argument('<principal>')
    .option('--operator', 'it may run the server')
    .option('--json', 'print the answer as JSON')
    .action(
      online(async (settings, principal: string, flags: Record<string, never>) => {
        const { createToken } = await import('./token.ts');
        return createToken(settings, principal, flags);
      }),
    );
  token
    .command('list')
    .description('list the keys, revoked ones too')
    .option('--json', 'print them as JSON')
    .action(
      online(async (settings, flags: Record<string, never>) => {
        const { listTokens } = await import('./token.ts');
        return listTokens(settings, flags);
      }),
    );
  token
    .command('revoke')
    .description('end a key and the connections made with it')
    .argument('<key>', 'its id (ark_… up to the dot)')
    .action(
      online(async (settings, key: string) => {
        const { revokeToken } = await import('./revoke.ts');
        return revokeToken(settings, key);
      }),
    );
};

const addAudit = ({ program, online }: Surroundings): void => {
  const audit = program.command('audit').description('read and check the audit');
  audit
    .command('list', { isDefault: true })
    .description('print the records, one a line; "arbor audit" alone does it')
    .option('--after <n>', 'only those after this one', wholeNumber)
    .option('--json', 'print each as JSON')
    .action(
      online(async (settings, flags: Record<string, never>) => {
        const { listAudit } = await import('./audit.ts');
        return listAudit(settings, flags);
      }),
    );
  audit
    .command('verify')
    .description('check that no record was changed or removed')
    .option('--head <n:mac>', 'a head kept elsewhere, which shows a tail that was cut off')
    .option('--json', 'print the answer as JSON')
    .action(
      online(async (settings, flags: Record<string, never>) => {
        const { verifyAudit } = await import('./audit.ts');
        return verifyAudit(settings, flags);
      }),
    );
};

/** Adds the subcommands about who may do what: shares, capabilities, API keys and the audit. */
export const addAuthority = (surroundings: Surroundings): void => {
  addSharing(surroundings);
  addTokens(surroundings);
  addAudit(surroundings);
};
