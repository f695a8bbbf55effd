import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHttpClient, type Event, type HttpClient } from '../client/index.ts';
import { startServer } from '../start.ts';
import { joinDemo } from './demo-clients.ts';
import { differenceOf } from './demo-difference.ts';
import { createDemoProgress } from './demo-progress.ts';
import { EXIT } from './errors.ts';

const DEADLINE_MS = 60_000;

const CLI = 'cli client, HTTP and SSE';
const WEB = 'web client, MQTT over WebSocket';
const API = 'api client, HTTP and SSE';

const say = (line = ''): void => void process.stdout.write(`${line}\n`);

const readLog = async (client: HttpClient, session_id: string): Promise<Event[]> => {
  const log: Event[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const page: { readonly events: readonly Event[]; readonly next: number | null } = await client.events.list({
      session_id,
      after,
    });
    log.push(...page.events);
    after = page.next;
  }
  return log;
};

/** The number of files that an analysis tells of, wherever it says so. */
const filesOf = (result: unknown): number | null => {
  if (typeof result !== 'object' || result === null) return null;
  for (const [name, value] of Object.entries(result)) {
    if (name.startsWith('files') && typeof value === 'number') return value;
    const inner = filesOf(Array.isArray(value) ? null : value);
    if (inner !== null) return inner;
  }
  return null;
};

const show = async (
  http: string,
  ws: string,
  credentials: string,
  closing: (close: () => void) => void,
): Promise<number> => {
  const { api_key } = JSON.parse(await readFile(credentials, 'utf8')) as { api_key: string };
  const owner = createHttpClient({ url: http, token: api_key });
  const { session_id } = await owner.sessions.create({ client: { type: 'api', name: 'demo-owner' } });
  say(`Three clients share the session ${session_id}, and one of them runs analyze on ${process.cwd()}.`);

  const progress = createDemoProgress([CLI, WEB, API], process.stdout);
  closing(progress.end);
  const started: { execution: string | null } = { execution: null };
  const onEvent =
    (label: string) =>
    ({ type, data }: Event): void => {
      if (started.execution !== null && data['execution_id'] !== started.execution) return;
      if (type === 'execution_progress') progress.update(label, Number(data['progress']));
      if (type === 'execution_completed') progress.update(label, 100);
    };
  const where = { http, ws, session_id };
  const cli = await joinDemo(owner, where, { type: 'cli', label: CLI, transport: 'sse' }, onEvent(CLI));
  closing(cli.viewer.close);
  const web = await joinDemo(owner, where, { type: 'web', label: WEB, transport: 'mqtt' }, onEvent(WEB));
  closing(web.viewer.close);
  const api = await joinDemo(owner, where, { type: 'api', label: API, transport: 'sse' }, onEvent(API));
  closing(api.viewer.close);

  const startedAt = performance.now();
  const { execution_id } = await cli.client.execute('analyze', { path: '.' });
  started.execution = execution_id;
  const execution = await cli.client.ended(execution_id);
  const seconds = (performance.now() - startedAt) / 1000;

  const log = await readLog(owner, session_id);
  const viewers = [cli.viewer, web.viewer, api.viewer];
  await Promise.all(viewers.map((viewer) => viewer.reached(log.length)));
  progress.end();
  // What came after the log was read is in nobody's comparison.
  const sights = viewers.map(({ label, joinedAt, seen }) => ({
    label,
    joinedAt,
    seen: seen.filter(({ seq }) => seq <= log.length),
  }));
  const difference = differenceOf(log, sights);

  if (execution.status !== 'completed') {
    say(`analyze ended as ${execution.status}: ${JSON.stringify(execution.error)}`);
    return EXIT.failed;
  }
  const files = filesOf(await cli.client.result(execution_id));
  say(
    `analyze read ${files === null ? 'the files' : `${files.toLocaleString('en-US')} files`} in ${seconds.toFixed(1)} s.`,
  );
  await owner.sessions.close({ session_id });
  for (const { label, seen, joinedAt } of sights)
    say(`  ${label} saw ${seen.length} events, from seq ${joinedAt + 1} on`);
  if (difference !== null) {
    say(`The log does not agree with what they saw: ${difference}.`);
    return EXIT.failed;
  }
  say(`The log has ${log.length} events, numbered without a hole; replayed, it is what each of them saw.`);
  return EXIT.ok;
};

const NEXT = `
Next:
  npx arbor serve                  start a server here, then in another terminal:
  npx arbor run analyze .          the same command by hand
  npx arbor run help               what else there is
  npx arbor sessions --all         the sessions, and: npx arbor watch <session>`;

/** `arbor demo`: shows three kinds of clients in one session of a server of its own. Resolves with the exit code. */
export const demo = async (): Promise<number> => {
  const closings: (() => unknown)[] = [];
  const closeAll = async (): Promise<void> => {
    for (let close = closings.pop(); close !== undefined; close = closings.pop())
      await Promise.resolve(close()).catch(() => undefined);
  };
  const play = async (): Promise<number> => {
    const data = await mkdtemp(join(tmpdir(), 'arbor-demo-'));
    closings.push(() => rm(data, { recursive: true, force: true }));
    // What the server logs would stand between the bars.
    process.env['ARBOR_LOG_LEVEL'] ||= 'warn';
    const server = await startServer({ data, http: '127.0.0.1:0', mqtt: '127.0.0.1:0' });
    closings.push(() => server.close(1_000));
    return show(server.http, server.ws, server.credentials, (close) => closings.push(close));
  };
  const { promise: cut, resolve: cutOff } = Promise.withResolvers<number>();
  const timer = setTimeout(() => {
    say(`Not done within ${DEADLINE_MS / 1000} s.`);
    cutOff(EXIT.failed);
  }, DEADLINE_MS);
  const interrupt = (): void => cutOff(EXIT.interrupted);
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    const code = await Promise.race([play(), cut]);
    if (code === EXIT.ok) say(NEXT);
    return code;
  } finally {
    clearTimeout(timer);
    // What does not let itself be closed must not hold the end up.
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const limit = setTimeout(resolve, 5_000);
    await Promise.race([closeAll(), late]);
    clearTimeout(limit);
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
};
