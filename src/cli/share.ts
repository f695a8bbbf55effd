import type { Operation, Risk } from '../../machines/capability.ts';
import { createHttpClient, type InputOf } from '../client/index.ts';
import { capabilityLine } from './capability-line.ts';
import { EXIT } from './errors.ts';
import { SHARE_TOKEN } from './join.ts';
import { allItems } from './pages.ts';
import { renderTable } from './render.ts';
import { DEFAULT_URL, type Settings } from './settings.ts';
import { oneLine } from './text.ts';

export interface ShareFlags {
  readonly operations?: readonly Operation[];
  readonly scope?: readonly string[];
  readonly readOnly?: boolean;
  readonly maxOperations?: number;
  /** Seconds. */
  readonly expiresIn?: number;
  readonly maxRisk?: Risk;
  readonly mayShare?: boolean;
  /** An hour. */
  readonly rateLimit?: number;
  readonly label?: string;
  readonly json?: boolean;
}

/** The input without what was not asked for, which is the session's to decide. */
const inputOf = (session_id: string, flags: ShareFlags): InputOf<'shares.create'> => {
  const { operations, scope, label } = flags;
  const constraints = {
    ...(flags.readOnly && { read_only: true }),
    ...(flags.maxOperations !== undefined && { max_operations: flags.maxOperations }),
    ...(flags.expiresIn !== undefined && { expires_in: flags.expiresIn }),
    ...(flags.maxRisk !== undefined && { max_risk: flags.maxRisk }),
    ...(flags.mayShare && { may_share: true }),
    ...(flags.rateLimit !== undefined && { rate_limit: flags.rateLimit }),
  };
  return {
    session_id,
    ...(operations !== undefined && { operations: [...operations] }),
    ...(scope !== undefined && { scope: [...scope] }),
    ...(label !== undefined && { label }),
    ...(Object.keys(constraints).length > 0 && { constraints }),
  };
};

const ending = (expires_at: string | null): string => (expires_at === null ? 'does not end' : `ends ${expires_at}`);

/**
 * `arbor share`: makes a token by which others join. The token alone goes to standard output, what there is to know to
 * standard error, which a log may keep. Resolves with the exit code.
 */
export const share = async (settings: Settings, session_id: string, flags: ShareFlags): Promise<number> => {
  const created = await createHttpClient(settings).shares.create(inputOf(session_id, flags));
  const { share_id, token, capability, expires_at } = created;
  if (flags.json) {
    process.stdout.write(`${JSON.stringify(created)}\n`);
    return EXIT.ok;
  }
  if (token === undefined) throw new Error(`${share_id} was answered without its token`);
  process.stdout.write(`${token}\n`);
  const arbor = settings.url === DEFAULT_URL ? 'arbor' : `arbor --url ${settings.url}`;
  process.stderr.write(
    `${[
      `${share_id}: ${oneLine(capabilityLine(capability), 500)}`,
      `it ${ending(expires_at)}; the token is shown this once`,
      // Not as an argument: process lists show those.
      `join with: ${SHARE_TOKEN}=<token> ${arbor} join`,
      `       or: ${arbor} join -  (the token on standard input)`,
    ].join('\n')}\n`,
  );
  return EXIT.ok;
};

/** `arbor shares`: lists the shares of a session. Resolves with the exit code. */
export const listShares = async (
  settings: Settings,
  session_id: string,
  flags: { readonly json?: boolean; readonly all?: boolean },
): Promise<number> => {
  const client = createHttpClient(settings);
  const all = await allItems((page) => client.shares.list({ session_id, ...page }));
  const shares = all.filter(({ status }) => flags.all || status === 'live');
  if (flags.json) process.stdout.write(`${JSON.stringify(shares)}\n`);
  else if (shares.length === 0) process.stderr.write(`no ${flags.all ? '' : 'live '}shares\n`);
  else
    process.stdout.write(
      `${renderTable(
        shares.map(({ capability, created_by, ...rest }) => ({
          ...rest,
          created_by: created_by.client_id ?? created_by.principal,
          allows: capabilityLine(capability),
        })),
        ['share_id', 'status', 'label', 'created_by', 'expires_at', 'allows'],
      )}\n`,
    );
  return EXIT.ok;
};
