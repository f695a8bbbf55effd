import { createAuditVerifier } from '../../actors/audit-chain.ts';
import { expiry } from '../../machines/execution-context.ts';
import type { ExecutionContext } from '../../machines/execution.ts';
import type { Event } from '../../machines/event.ts';
import { isOutcomeEvent, isTerminalEvent } from '../../machines/event.ts';
import type { SessionContext } from '../../machines/session-context.ts';
import type { Script } from './handlers.ts';
import type { Room } from './room.ts';

type Say = (what: string) => void;

/** A handler that takes no longer, and is left alone for so long without any fault, comes to its end. */
const SHORT_MS = 300;
const QUIET_MS = 90_000;
/** What a restart, or a store that has failed, may add to a deadline once no fault is left. */
const LATE_MS = 10_000;

/** One execution, as the log and the disk have it. */
interface Life {
  readonly id: string;
  readonly queued: Event;
  readonly context: ExecutionContext;
  readonly starts: Event[];
  readonly retries: Event[];
  readonly sleeps: Event[];
  readonly ends: Event[];
}

const timeOf = ({ timestamp }: Event): number => Date.parse(timestamp);

const logOf = ({ disk }: Room, session: string): Event[] =>
  (disk.sessions.get(session)?.events ?? []).map(({ json }) => JSON.parse(json) as Event);

const contextOf = ({ disk }: Room, key: string): unknown => {
  const actor = disk.actors.get(key);
  return actor === undefined ? null : JSON.parse(actor.context);
};

const sessionOf = (room: Room, session: string): SessionContext | null =>
  contextOf(room, `${session}/session/${session}`) as SessionContext | null;

const livesOf = (room: Room, session: string, log: readonly Event[]): Map<string, Life> => {
  const lives = new Map<string, Life>();
  for (const event of log) {
    const id = event.data['execution_id'] as string;
    if (event.type === 'execution_queued')
      lives.set(id, {
        id,
        queued: event,
        context: contextOf(room, `${session}/execution/${id}`) as ExecutionContext,
        starts: [],
        retries: [],
        sleeps: [],
        ends: [],
      });
    const life = lives.get(id);
    if (event.type === 'execution_started') life?.starts.push(event);
    if (event.type === 'execution_retrying') life?.retries.push(event);
    if (event.type === 'execution_waiting') life?.sleeps.push(event);
    if (isTerminalEvent(event.type)) life?.ends.push(event);
  }
  return lives;
};

/** Promise 3, and time within a session never goes back. */
const dense = (log: readonly Event[], say: Say): void => {
  for (const [index, event] of log.entries()) {
    if (event.seq !== index + 1) say(`event ${index + 1} has seq ${event.seq}`);
    const before = log[index - 1];
    if (before !== undefined && timeOf(event) < timeOf(before)) say(`event ${event.seq} is older than the one before`);
  }
};

/** Promises 5 and 6: one end each, no earlier than its deadline; retries as declared. */
const lived = ({ id, queued, context, starts, retries, sleeps, ends }: Life, quietSince: number, say: Say): void => {
  if (ends.length !== 1) say(`${id} has ${ends.length} ends: ${ends.map(({ type }) => type).join(', ')}`);
  const [end] = ends;
  if (end?.type === 'execution_timed_out' && timeOf(end) - timeOf(queued) < context.timeout_ms)
    say(`${id} timed out early`);
  const attempts = starts.map(({ data }) => data['attempt'] as number);
  if (Math.max(0, ...attempts) > context.command.max_attempts) say(`${id} had ${attempts.length} attempts`);
  if (attempts.some((attempt, index) => attempt < (attempts[index - 1] ?? 1)))
    say(`${id} had attempts ${attempts.join(', ')}`);
  for (const { seq, data } of sleeps) {
    const woken = starts.find((each) => each.seq > seq);
    if (woken !== undefined && timeOf(woken) < Date.parse(data['until'] as string)) say(`${id} woke early`);
  }
  for (const retry of retries) {
    const { attempt, delay_ms, problem } = retry.data as {
      attempt: number;
      delay_ms: number;
      problem: { detail: string };
    };
    if (problem.detail === 'for good') say(`${id} is tried again after an error that is terminal`);
    const next = starts.find(({ data }) => data['attempt'] === attempt + 1);
    if (next !== undefined && timeOf(next) - timeOf(retry) < delay_ms) say(`${id} is tried again too early`);
  }
  if ((end?.data['result'] as { late?: boolean } | undefined)?.late === true)
    say(`${id} ended by an attempt that was over`);
  const { ms = 0, failures = 0 } = context.args as Script;
  const isShort = ms <= SHORT_MS && failures === 0 && context.timeout_ms > QUIET_MS;
  if (end?.type === 'execution_timed_out' && isShort && timeOf(end) - quietSince > QUIET_MS)
    say(`${id} was left waiting`);
  const due = Math.max(expiry(context), quietSince) + LATE_MS;
  if (end !== undefined && timeOf(end) > due) say(`${id} ended ${timeOf(end) - due} ms late`);
  if (end !== undefined && starts.some(({ seq }) => seq > end.seq)) say(`${id} was started after its end`);
};

/** What is said once is heard once: a message that arrives twice is taken once (ring, rule 3). */
const saidOnce = (log: readonly Event[], say: Say): void => {
  const heard = new Set<string>();
  for (const { type, data } of log) {
    if (type !== 'execution_output') continue;
    const said = `${data['execution_id'] as string} ${data['chunk'] as string}`;
    if (heard.has(said)) say(`${said} was written twice`);
    heard.add(said);
  }
};

/** Promise 13: limits are never exceeded, and nobody is refused what is left. */
const limited = (
  room: Room,
  session: string,
  log: readonly Event[],
  lives: ReadonlyMap<string, Life>,
  say: Say,
): void => {
  for (const { capability_id, limits } of room.shares.filter((share) => share.session === session)) {
    const { max_operations, max_concurrent } = limits as { max_operations?: number; max_concurrent?: number };
    const isCharged = (id: unknown): boolean =>
      lives.get(id as string)?.context.charged.includes(capability_id) === true;
    let live = 0;
    let accepted = 0;
    for (const { type, data } of log) {
      if (!isCharged(data['execution_id'])) continue;
      if (type === 'execution_queued') {
        live += 1;
        accepted += 1;
      }
      if (isTerminalEvent(type)) live -= 1;
      if (max_concurrent !== undefined && live > max_concurrent) return say(`${capability_id}: ${live} at once`);
    }
    if (max_operations !== undefined && accepted > max_operations) say(`${capability_id}: ${accepted} operations`);
    const meter = sessionOf(room, session)?.ledger.meters[capability_id];
    if (meter !== undefined && (meter.used !== accepted || meter.running !== 0))
      say(`${capability_id}: charged ${meter.used} and ${meter.running} running for ${accepted} accepted`);
  }
};

/** Promise 11: nothing is begun under what was revoked, what ran under it is cancelled, and who was cut hears no more. */
const revoked = (room: Room, log: readonly Event[], lives: ReadonlyMap<string, Life>, say: Say): void => {
  for (const { seq, type, data } of log) {
    if (type !== 'capability_revoked') continue;
    const { revoked: gone, cut, reason } = data as { revoked: string[]; cut: string[]; reason: string };
    for (const { id, queued, context, ends } of lives.values()) {
      if (!gone.includes(context.capability_id)) continue;
      if (queued.seq > seq) say(`${id} was accepted under a revoked capability`);
      const [end] = ends;
      const isLate = end !== undefined && end.seq > seq && queued.seq < seq;
      if (reason === 'revoked' && isLate && end.type !== 'execution_cancelled')
        say(`${id} went on after its revocation to ${end.type}`);
    }
    for (const member of room.members.filter(({ client_id }) => cut.includes(client_id))) {
      const late = member.seen.filter((event) => event.seq > seq && event.type !== 'client_left');
      if (late.length > 0)
        say(`${member.client_id} heard ${late.map((event) => event.type).join(', ')} after it was cut`);
    }
  }
};

/** Promise 11: with a capability ends all that descends from it. */
const descended = (log: readonly Event[], say: Say): void => {
  const parents = new Map<string, string | null>();
  const over = new Set<string>();
  for (const { type, data } of log) {
    if (type === 'share_created') {
      const { id, parent_id } = data['capability'] as { id: string; parent_id: string | null };
      parents.set(id, parent_id);
    }
    if (type !== 'capability_revoked') continue;
    for (const id of data['revoked'] as string[]) over.add(id);
    for (const [id, parent] of parents)
      if (parent !== null && over.has(parent) && !over.has(id)) say(`${id} outlives its parent`);
  }
};

const ENDED_RIGHTLY = new Set(['closed', 'unauthenticated', 'not_found', 'security_violation']);

/** Promises 2 and 4: whoever follows has seen the log from its beginning, each event once, without a hole. */
const followed = (room: Room, session: string, log: readonly Event[], say: Say): void => {
  for (const { client_id, seen, ended, session: own } of room.members) {
    if (own !== session) continue;
    for (const [index, { seq }] of seen.entries())
      if (seq !== index + 1) say(`${client_id} saw ${seq} as its event ${index + 1}`);
    if (ended === null && seen.length !== log.length) say(`${client_id} saw ${seen.length} of ${log.length} events`);
    if (ended !== null && !ENDED_RIGHTLY.has(ended)) say(`${client_id} gave up: ${ended}`);
  }
};

/** What callers may hear when faults are about. */
const CODES = new Set([
  'unavailable',
  'timed_out',
  'overloaded',
  'read_only',
  'conflict',
  'already_decided',
  'not_confirmed',
  'not_found',
  'unauthenticated',
  'security_violation',
  'rate_limited',
  'webhook_required',
  'cancelled',
  'handler_failed',
  'attempts_exhausted',
]);

/** Promises 1 and 8: every call has ended, as a coded error or with what is on the disk. */
const answered = (room: Room, say: Say): void => {
  const logs = new Map(room.sessions.map((session) => [session, logOf(room, session)]));
  const keyed = new Map<string, string>();
  for (const { what, input, by, session, answer, error, settled } of room.asked) {
    if (!settled) say(`${what} of ${by} was never answered`);
    const isFine =
      error === null ||
      CODES.has(error.problem.code) ||
      (what === 'shares.create' && error.problem.code === 'invalid_input');
    if (!isFine) say(`${what} was answered with ${String(error)}`);
    if (what === 'coordinations.create' && answer !== null) {
      const { coordination_id: id } = answer;
      const isThere = (logs.get(session) ?? []).some(
        ({ type, data }) => type === 'coordination_request' && data['coordination_id'] === id,
      );
      if (!isThere) say(`${String(id)} was asked and is gone`);
    }
    if (what !== 'commands.execute' || answer === null) continue;
    const { execution_id, status } = answer as { execution_id: string; status: string };
    const events = (logs.get(session) ?? []).filter(({ data }) => data['execution_id'] === execution_id);
    if (!events.some(({ type }) => type === 'execution_queued')) say(`${execution_id} was accepted and is gone`);
    if (status !== 'pending' && !events.some(({ type }) => type === `execution_${status}`))
      say(`${execution_id} was answered as ${status}`);
    if (input['idempotency_key'] === undefined) continue;
    const principal = room.members.find(({ client_id }) => client_id === by)?.share ?? 'alice';
    const key = `${session} ${principal} ${input['idempotency_key'] as string}`;
    const known = keyed.get(key) ?? execution_id;
    keyed.set(key, known);
    if (known !== execution_id) say(`${key} stands for ${known} and for ${execution_id}`);
  }
};

/** Section 7: one outcome each, by a quorum where it is confirmed; one vote a voter at a time; nothing starts before. */
const decided = (log: readonly Event[], lives: ReadonlyMap<string, Life>, say: Say): void => {
  const outcomes = new Map<unknown, Event>();
  for (const event of log) {
    const { type, data } = event;
    const id = data['coordination_id'];
    if (type === 'coordination_vote' && outcomes.has(id)) say(`${String(id)} has a vote after its outcome`);
    if (!isOutcomeEvent(type)) continue;
    if (outcomes.has(id)) say(`${String(id)} has two outcomes`);
    outcomes.set(id, event);
    const asked = log.find((each) => each.type === 'coordination_request' && each.data['coordination_id'] === id);
    if (asked === undefined) say(`${String(id)} has an outcome and was never asked`);
    const votes = data['confirmations'] as readonly { principal: string; client_id: string }[];
    if (type === 'coordination_confirmed' && votes.length < Number(asked?.data['required_confirmations']))
      say(`${String(id)} is confirmed by ${votes.length}`);
  }
  for (const { type, data } of log)
    if (type === 'coordination_request' && !outcomes.has(data['coordination_id']))
      say(`${String(data['coordination_id'])} has no outcome`);
  for (const { id, queued, starts } of lives.values()) {
    const gate = queued.data['awaiting_confirmation'];
    if (gate === undefined || starts.length === 0) continue;
    const yes = outcomes.get(gate);
    if (yes?.type !== 'coordination_confirmed' || yes.seq > (starts[0] as Event).seq)
      say(`${id} was started without a yes`);
  }
};

/** Contract, section 9: each event reaches an endpoint, under one id; with its session it ends once nothing is pending. */
const delivered = ({ disk, receiver }: Room, session: string, log: readonly Event[], say: Say): void => {
  const of = (kind: string) => [...disk.actors.values()].filter(({ key }) => key.startsWith(`${session}/${kind}/`));
  const [webhook] = of('webhook');
  if (webhook === undefined) return;
  const end = log.find(({ type }) => /^session_(closed|expired)$/.test(type));
  for (const { seq, type } of log) {
    if (end !== undefined && seq > end.seq) continue;
    const ids = receiver.taken.get(`${session} ${seq}`)?.size ?? 0;
    if (ids !== 1) say(`${type} at ${seq} of ${session} reached its webhook under ${ids} ids`);
  }
  for (const { key, state } of of('delivery')) if (state !== 'delivered') say(`${key} is ${state}`);
  const { pending } = JSON.parse(webhook.context) as { pending: number };
  if (pending !== 0) say(`${webhook.key} counts ${pending} deliveries at the end`);
  if ((webhook.state === 'ended') !== (end !== undefined)) say(`${webhook.key} is ${webhook.state}`);
};

/** Promise 15. */
const audited = ({ disk }: Room, lives: ReadonlyMap<string, Life>, say: Say): void => {
  for (const { id, context } of lives.values())
    if (context.command.audit && !disk.audit.some(({ text }) => text.includes('command_accepted') && text.includes(id)))
      say(`${id} is not in the audit`);
};

const chained = ({ disk }: Room, say: Say): void => {
  const verifier = createAuditVerifier(disk.auditKey);
  for (const record of disk.audit) verifier.take(record);
  if (!verifier.finish().valid) say('the audit does not verify');
};

/** All that a history has broken; empty where it kept every promise. */
export const brokenLaws = (room: Room): readonly string[] => {
  const broken = [...room.broken];
  const say: Say = (what) => void broken.push(what);
  const ready = room.server().up()?.ring.readiness();
  if (ready?.ready !== true) say(`the server is not ready at the end: ${JSON.stringify(ready ?? 'down')}`);
  for (const session of room.sessions) {
    const log = logOf(room, session);
    const lives = livesOf(room, session, log);
    dense(log, say);
    for (const life of lives.values()) lived(life, room.quietSince, say);
    descended(log, say);
    saidOnce(log, say);
    limited(room, session, log, lives, say);
    revoked(room, log, lives, say);
    followed(room, session, log, say);
    delivered(room, session, log, say);
    audited(room, lives, say);
    decided(log, lives, say);
    const context = sessionOf(room, session);
    if (context !== null && (context.executions.length > 0 || context.counts.queued !== 0))
      say(
        `${session} counts ${context.executions.length} live and ${context.counts.queued} queued executions at the end`,
      );
  }
  answered(room, say);
  chained(room, say);
  for (const error of room.errors) if (!error.startsWith('an outbox')) say(`the server reported ${error}`);
  return broken;
};
