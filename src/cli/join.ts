import type { ClientType } from '../../machines/capability.ts';
import { joinSession, ProblemError, type JoinedClient } from '../client/index.ts';
import { capabilityLine } from './capability-line.ts';
import { EXIT, UsageError } from './errors.ts';
import { onInterrupt } from './interrupt.ts';
import type { GivenSettings } from './settings.ts';
import { oneLine } from './text.ts';
import { printEvents } from './watch.ts';

export interface JoinFlags {
  readonly type: ClientType;
  readonly name: string;
  /** The last `seq` that is not shown. */
  readonly after?: number;
  readonly detach?: boolean;
  readonly json?: boolean;
}

/** Holds the token of a share where it is not given as an argument, which process lists show. */
export const SHARE_TOKEN = 'ARBOR_SHARE_TOKEN';

/** More than any token has, in characters. */
const MAX_INPUT = 1000;

const firstLine = async (input: NodeJS.ReadStream): Promise<string> => {
  let text = '';
  for await (const chunk of input.setEncoding('utf8')) {
    text += String(chunk);
    if (text.includes('\n') || text.length > MAX_INPUT) break;
  }
  return (text.split('\n')[0] as string).trim();
};

/** The token of a share: the argument, `-` for the first line of standard input, else `ARBOR_SHARE_TOKEN`. */
const shareToken = async (word: string | undefined): Promise<string> => {
  const token = word === '-' ? await firstLine(process.stdin) : (word ?? process.env[SHARE_TOKEN] ?? '');
  if (token === '')
    throw new UsageError(
      word === '-'
        ? 'standard input: expected the token of a share on its first line'
        : `expected the token of a share: in ${SHARE_TOKEN}, as "arbor join -" on standard input, or as an argument`,
    );
  return token;
};

const isDead = (error: unknown): boolean => error instanceof ProblemError && error.problem.code === 'unauthenticated';

const attach = async (
  { url, token }: GivenSettings,
  share: string,
  { type, name }: JoinFlags,
): Promise<JoinedClient> => {
  try {
    return await joinSession({ url, share, token, client: { type, name } });
  } catch (error) {
    if (!isDead(error)) throw error;
    const own = token === null ? '' : '; or the credentials of --token or ARBOR_TOKEN are';
    throw new Error(`the token of the share is wrong, revoked or expired${own}`, { cause: error });
  }
};

/** Follows as the client until the session ends or Ctrl-C, then leaves. */
const follow = async (client: JoinedClient, { after, json = false }: JoinFlags): Promise<number> => {
  const stop = new AbortController();
  const endInterrupt = onInterrupt(() => stop.abort());
  try {
    await printEvents(client.follow({ ...(after === undefined ? {} : { after }), signal: stop.signal }), json);
  } catch (error) {
    throw isDead(error)
      ? new Error('cut off: the share was revoked or has expired, or this client was taken out', { cause: error })
      : error;
  } finally {
    // Who was cut off has left, and so have all where the session has ended.
    await client.leave().catch(() => undefined);
    endInterrupt();
  }
  return stop.signal.aborted ? EXIT.interrupted : EXIT.ok;
};

/** `arbor join`: becomes a client by the token of a share and prints the events. Resolves with the exit code. */
export const join = async (settings: GivenSettings, word: string | undefined, flags: JoinFlags): Promise<number> => {
  const { detach = false, json = false } = flags;
  const client = await attach(settings, await shareToken(word), flags);
  const { session_id, client_id, client_token, capabilities } = client;
  if (!json) {
    const allowed = capabilities.map((capability) => oneLine(capabilityLine(capability), 500));
    process.stderr.write(`${client_id} in ${session_id}: ${allowed.join('; also ') || 'nothing is allowed'}\n`);
  }
  if (!detach) return follow(client, flags);
  if (json) process.stdout.write(`${JSON.stringify({ session_id, client_id, client_token, capabilities })}\n`);
  else {
    process.stdout.write(`session ${session_id}\nclient  ${client_id}\ntoken   ${client_token}\n`);
    process.stderr.write(`the token is that of this client: ARBOR_TOKEN=<token> arbor watch ${session_id}\n`);
  }
  return EXIT.ok;
};
