import * as assert from 'uvu/assert';
import { isTerminalEvent, type Event } from '../../machines/event.ts';
import { eventually, type Json, type ServerProcess } from '../support/server.ts';
import type { Accepted } from './load.ts';
import type { Witness } from './witness.ts';

export const texts = (events: readonly Event[]): string[] => events.map((event) => JSON.stringify(event));

/** Promises 2 and 3: the log is dense, has grown at its end alone, and holds what anybody saw. */
export const checkLog = (log: readonly Event[], before: readonly Event[], witnesses: readonly Witness[]): void => {
  for (const [index, { seq }] of log.entries())
    if (seq !== index + 1) assert.is(seq, index + 1, 'the log is dense from 1');
  const written = texts(log);
  assert.equal(written.slice(0, before.length), texts(before), 'what was read before is read alike afterwards');
  for (const { name, seen } of witnesses) {
    const forgotten = seen.filter((event) => written[event.seq - 1] !== JSON.stringify(event));
    assert.equal(forgotten, [], `over ${name} was seen what the log does not have`);
    for (const [index, { seq }] of seen.entries())
      if (index > 0) assert.is(seq, (seen[index - 1]?.seq ?? 0) + 1, `${name} saw each event once, in order`);
  }
};

/** Promise 1: what was answered with 2xx is in the log. */
export const checkAccepted = (accepted: readonly Accepted[], log: readonly Event[]): void => {
  const queued = new Set(log.filter(({ type }) => type === 'execution_queued').map(({ data }) => data['execution_id']));
  const lost = accepted.filter(({ execution_id }) => !queued.has(execution_id));
  assert.equal(lost, [], 'every execution answered with 2xx is in the log');
};

/** What was told of an end is still so. */
export const checkTold = async (server: ServerProcess, accepted: readonly Accepted[]): Promise<void> => {
  for (const { execution_id, end } of accepted) {
    const { status, body, text } = await server.call('GET', `/v1/executions/${execution_id}`);
    assert.is(status, 200, text);
    if (end === null) continue;
    assert.equal({ status: body.status, result: body.result }, { status: end.status, result: end.result });
  }
};

/** How often each execution in the log has ended. */
const endsOf = (log: readonly Event[]): Map<unknown, number> => {
  const ends = new Map<unknown, number>();
  for (const { type, data } of log) {
    const id = data['execution_id'];
    if (type === 'execution_queued') ends.set(id, ends.get(id) ?? 0);
    if (isTerminalEvent(type)) ends.set(id, (ends.get(id) ?? 0) + 1);
  }
  return ends;
};

/** Promise 5: every execution in the log has ended, once. */
export const checkEnds = (log: readonly Event[]): void =>
  assert.equal(
    [...endsOf(log)].filter(([, count]) => count !== 1),
    [],
    'every execution has one terminal event',
  );

/** Waits until nothing is under way, and answers the log. */
export const settledLog = async (server: ServerProcess, session: string): Promise<readonly Event[]> => {
  let log: readonly Event[] = [];
  await eventually('the end of every execution', async () => {
    log = await server.events(session);
    return [...endsOf(log).values()].every((count) => count > 0);
  });
  return log;
};

/** Promises 1 to 3 and 5, of a session in which nothing new is begun. Answers its log. */
export const checkSession = async (
  server: ServerProcess,
  session: string,
  accepted: readonly Accepted[],
  witnesses: readonly Witness[] = [],
): Promise<readonly Event[]> => {
  const log = await settledLog(server, session);
  checkLog(log, [], witnesses);
  checkAccepted(accepted, log);
  checkEnds(log);
  await checkTold(server, accepted.slice(-40));
  return log;
};

export const listExecutions = async (server: ServerProcess, session: string): Promise<Json[]> => {
  const all: Json[] = [];
  for (let next: string | null = ''; next !== null; ) {
    const after: string = next === '' ? '' : `&after=${next}`;
    const { body } = await server.call('GET', `/v1/sessions/${session}/executions?limit=1000${after}`);
    all.push(...body.items);
    next = body.next as string | null;
  }
  return all;
};
