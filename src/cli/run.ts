import type { Execution } from '../operations/executions.ts';
import {
  connect,
  createHttpClient,
  createSessionClient,
  errorOfExecution,
  resultOf,
  type SessionClient,
} from '../client/index.ts';
import { mapArguments } from './arguments.ts';
import { EXIT, problemLine, UsageError } from './errors.ts';
import { onInterrupt } from './interrupt.ts';
import { createProgressDisplay } from './progress.ts';
import { renderResult } from './render.ts';
import type { Settings } from './settings.ts';

export interface RunFlags {
  readonly session?: string;
  /** `name=value`. */
  readonly arg?: readonly string[];
  readonly json?: boolean;
  readonly detach?: boolean;
  readonly keep?: boolean;
  /** Seconds. */
  readonly timeout?: number;
}

const NAME = 'arbor run';

/** The client that runs the command, and how its work is tidied up. */
const attach = async (
  settings: Settings,
  session: string | undefined,
): Promise<{ client: SessionClient; isNew: boolean; isOwn: boolean }> => {
  const { url, token } = settings;
  if (!token.startsWith('cli_')) {
    const options = { url, token, client: { type: 'cli', name: NAME } } as const;
    const client = await connect(session === undefined ? options : { ...options, session });
    return { client, isNew: session === undefined, isOwn: true };
  }
  if (session === undefined) throw new UsageError('the token is that of a client: name its session with --session');
  const [client_id = ''] = token.split('.');
  return {
    client: createSessionClient({ url }, { session_id: session, client_id, client_token: token }),
    isNew: false,
    isOwn: false,
  };
};

const argumentsOf = async (
  { http, session_id }: SessionClient,
  name: string,
  words: readonly string[],
  pairs: readonly string[],
) => {
  const { items } = await http.commands.list({ session_id });
  const command = items.find((each) => each.name === name);
  if (command === undefined)
    throw new UsageError(
      `there is no command "${name}" for this client; there are: ${items.map((each) => each.name).join(', ') || 'none'}`,
    );
  const mapped = mapArguments(name, command.args_schema, words, pairs);
  if (!mapped.ok) throw new UsageError(mapped.message);
  return mapped.args;
};

/** Shows what an execution says until it has ended. */
const show = async (
  client: SessionClient,
  execution: string,
  after: number,
  name: string,
  json: boolean,
): Promise<void> => {
  const display = createProgressDisplay(name, process.stderr);
  try {
    for await (const { type, data } of client.followExecution(execution, { after })) {
      if (type === 'execution_progress')
        display.update(Number(data['progress']), typeof data['message'] === 'string' ? data['message'] : null);
      if (type === 'execution_output')
        // With --json, standard output is the answer alone.
        display.write(data['stream'] === 'stderr' || json ? process.stderr : process.stdout, String(data['chunk']));
    }
  } finally {
    display.end();
  }
};

const conclude = async ({ http }: SessionClient, execution: Execution, json: boolean): Promise<number> => {
  const { execution_id, session_id, status, error } = execution;
  const isCompleted = status === 'completed';
  const result = isCompleted ? await resultOf(http, execution) : undefined;
  if (json)
    process.stdout.write(
      `${JSON.stringify({ execution_id, session_id, status, ...(isCompleted ? { result } : { error }) })}\n`,
    );
  else if (isCompleted) {
    const text = renderResult(result);
    if (text !== '') process.stdout.write(`${text}\n`);
  } else process.stderr.write(`arbor: ${problemLine(errorOfExecution(execution).problem)}\n`);
  return isCompleted ? EXIT.ok : EXIT.failed;
};

/** `arbor run`: runs a command to its end. Resolves with the exit code. */
export const run = async (
  settings: Settings,
  name: string,
  words: readonly string[],
  flags: RunFlags,
): Promise<number> => {
  const { json = false, detach = false, keep = false, timeout } = flags;
  const { client, isNew, isOwn } = await attach(settings, flags.session);
  const { session_id, http } = client;
  const state: { execution: string | null; interrupted: boolean } = { execution: null, interrupted: false };
  const endInterrupt = onInterrupt(() => {
    state.interrupted = true;
    if (state.execution === null) process.exit(EXIT.interrupted);
    process.stderr.write('\narbor: cancelling; Ctrl-C again to leave at once\n');
    // It may have ended in this moment, which shows in the events just as well.
    http.executions.cancel({ execution_id: state.execution }).catch(() => undefined);
  });
  let isLeft = false;
  try {
    const args = await argumentsOf(client, name, words, flags.arg ?? []);
    const after = isNew ? 0 : (await http.sessions.get({ session_id })).seq;
    const { execution_id } = await client.execute(name, args, timeout === undefined ? {} : { timeout });
    state.execution = execution_id;
    if (detach) {
      isLeft = true;
      process.stdout.write(json ? `${JSON.stringify({ execution_id, session_id })}\n` : `${execution_id}\n`);
      if (!json) process.stderr.write(`it goes on; follow it with: arbor watch ${session_id}\n`);
      return EXIT.ok;
    }
    if (!json) process.stderr.write(`${name} in ${session_id}, ${execution_id}\n`);
    await show(client, execution_id, after, name, json);
    const code = await conclude(client, await client.ended(execution_id), json);
    return state.interrupted ? EXIT.interrupted : code;
  } finally {
    endInterrupt();
    if (!isLeft && isOwn) await tidy(settings, client, isNew && !keep);
  }
};

/** What was made for this one run goes with it. That it does not succeed changes nothing of the outcome. */
const tidy = async (settings: Settings, client: SessionClient, closes: boolean): Promise<void> => {
  const { session_id } = client;
  const ended = closes ? createHttpClient(settings).sessions.close({ session_id }) : client.leave();
  await ended.catch(() => undefined);
};
