import * as assert from 'uvu/assert';
import type { CoordinationContext } from '../../machines/coordination.ts';
import { decide } from '../../machines/decision.ts';
import { isOutcomeEvent } from '../../machines/event.ts';
import type { ExecutionContext } from '../../machines/execution.ts';
import { WRITE } from '../../machines/session-context.ts';
import { actorsOf, liveIds } from './session-laws.ts';
import type { TestSession } from './session.ts';

interface Writer {
  readonly client_id: string | null;
  readonly person: string;
}

/** Who may write now, and whom they count as: the issuer of their share, and its issuer. */
const writersOf = (one: TestSession): readonly Writer[] => {
  const { owner, clients, shares } = one.context();
  const personOf = (principal: string): string => {
    const share = shares[`shr_${principal.replace(/^share:shr_/, '')}`];
    return principal.startsWith('share:') && share !== undefined ? personOf(share.issuer.principal) : principal;
  };
  const present = Object.entries(clients).filter(([, each]) => decide(each.capabilities, WRITE, one.ring.now).allowed);
  return [
    { client_id: null, person: owner },
    ...present.map(([client_id, { principal }]) => ({ client_id, person: personOf(principal) })),
  ];
};

/** The voters of a question are different ones, none is who asked, and as long as it is open each may write still. */
const assertVotes = (context: CoordinationContext, value: string, writers: readonly Writer[]): void => {
  const { question, requester, execution_id, votes } = context;
  const { distinct, required_confirmations, requester_may_vote, veto, max_rejections = Infinity } = question;
  const voter = ({ client_id, person }: Writer) => (distinct === 'client' ? client_id : person);
  assert.is(new Set(votes.map(voter)).size, votes.length, 'one vote a voter');
  for (const each of votes) {
    const isOwn =
      distinct === 'principal' || execution_id !== null
        ? each.person === requester.person
        : each.client_id === requester.client_id;
    assert.ok(requester_may_vote || !isOwn, 'nobody confirms themselves');
    if (value === 'open')
      assert.ok(
        writers.some((writer) => voter(writer) === voter(each)),
        `${each.principal} may not write any more`,
      );
  }
  const confirmations = votes.filter(({ vote }) => vote === 'confirm').length;
  const rejections = votes.length - confirmations;
  const isRejected = rejections >= (veto ? 1 : max_rejections);
  if (value === 'confirmed') assert.ok(confirmations >= required_confirmations && !isRejected, 'a quorum, and no veto');
  if (value === 'open')
    assert.ok(confirmations < required_confirmations && !isRejected, 'what decides decides at once');
};

/** What holds of the questions of a session after every message. */
export const assertQuestions = (one: TestSession): void => {
  const all = actorsOf<CoordinationContext>(one, 'coordination');
  if (all.length === 0) return;
  assert.equal(
    one
      .context()
      .coordinations.map(({ id }) => id as string)
      .toSorted(),
    liveIds(all).toSorted(),
    'the session knows which are open',
  );
  const writers = writersOf(one);
  for (const { context, value, live } of all) if (live || value !== 'open') assertVotes(context, value, writers);

  const asking = actorsOf<ExecutionContext>(one, 'execution').flatMap(({ live, context, value }) => {
    const { confirmation, awaited } = context;
    if (live) assert.is(confirmation !== null, value === 'awaiting_confirmation');
    const asked = awaited.flatMap((each) => (each.reason === 'confirm' ? [each.coordination_id] : []));
    return live ? [...asked, ...(confirmation === null ? [] : [confirmation])] : [];
  });
  const waitedFor = all.filter(({ live, context }) => live && context.execution_id !== null);
  assert.equal(
    waitedFor.map(({ id }) => id).toSorted(),
    asking.map(String).toSorted(),
    'an execution waits for what is open, and what nobody waits for is taken back',
  );
};

/** In the order of the log: each question is asked once and ends once, no vote follows, and nothing starts unasked. */
export const assertOutcomes = (one: TestSession): void => {
  const [asked, over] = [new Set<string>(), new Map<string, string>()];
  let isOver = false;
  for (const { effect } of one.ring.log) {
    if (effect.type === 'run') {
      const gate = effect.run.execution_id.replace('exe_', 'crd_');
      if (asked.has(gate)) assert.is(over.get(gate), 'coordination_confirmed', `${gate} is confirmed before it runs`);
    }
    if (effect.type !== 'event') continue;
    const { event, subject } = effect;
    if (event.startsWith('coordination_')) assert.not(isOver, 'questions end before their session');
    if (event === 'coordination_request') {
      assert.not(asked.has(subject), `${subject} is asked once`);
      asked.add(subject);
    }
    if (event === 'coordination_vote') assert.not(over.has(subject), `${subject} has a vote after its outcome`);
    if (isOutcomeEvent(event)) {
      assert.ok(asked.has(subject) && !over.has(subject), `${subject} has one outcome`);
      over.set(subject, event);
    }
    isOver ||= event === 'session_closed' || event === 'session_expired';
  }
  const ended = actorsOf(one, 'coordination').filter(({ live }) => !live);
  assert.equal([...over.keys()].toSorted(), ended.map(({ id }) => id).toSorted());
  if (isOver) assert.is(over.size, asked.size, 'none outlives its session');
};
