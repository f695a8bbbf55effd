import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventFromLogic } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import type { Effect } from '../../machines/effect.ts';
import { session, type SessionContext } from '../../machines/session.ts';
import { createDriver } from '../support/machine.ts';
import { facts, newClient, OWNER, SESSION, TTL } from '../support/session.ts';

const test = suite('session: paths');

/** Later than anything a session waits for while it is active, and later than its time to live. */
const [LATE, TOO_LATE] = [60_001, TTL + 120_000];
const says = (type: string, at: number, more = {}) => ({ type, at, random: 0, ...more });
const execute = {
  caller: OWNER,
  execution_id: 'exe_1',
  command: facts(),
  args: {},
  timeout_ms: 1_000,
  priority: 0,
  reserved: true,
  unattended: false,
  idempotency: null,
};
const open = { session_id: SESSION, owner: 'ada', ttl_ms: TTL, root_capability_id: 'cap_root', client: newClient('1') };
const EVENTS = [
  says('session.open', 0, open),
  says('session.register', 1, { caller: OWNER, client: newClient('2') }),
  says('session.leave', 1, { caller: OWNER, client_id: 'cli_1' }),
  says('session.execute', 1, execute),
  says('session.cancel', 1, { caller: OWNER, execution_id: 'exe_1' }),
  says('execution.ended', 1, { execution_id: 'exe_1', charged: ['cap_1'] }),
  says('client.presence', 1, { client_id: 'cli_1', attached: true }),
  says('client.gone', 1, { client_id: 'cli_1' }),
  says('session.close', 1, { caller: OWNER }),
  says('deadline', LATE),
  says('deadline', TOO_LATE),
];
/** Who is asked and leaves the answer to whom it sends the request on. */
const PASSED_ON = new Set(['session.execute', 'session.cancel', 'session.leave']);

const paths = getShortestPaths(session, {
  events: EVENTS as unknown as EventFromLogic<typeof session>[],
  serializeState: ({ value, context }) => `${value as string} ${context.executions.length} ${String(context.ending)}`,
  limit: 20_000,
});

test('every state is reached', () => {
  const reached = new Set(paths.map(({ state }) => state.value as string));
  assert.equal([...reached].toSorted(), Object.keys(session.states).toSorted());
});

test('on every path each request is answered once or passed on, and the session ends with one event, after its executions', () => {
  assert.ok(paths.length > 5, `${paths.length} paths`);
  for (const { steps } of paths) {
    const one = createDriver<SessionContext>(session);
    const endings: Effect[] = [];
    for (const { event } of steps) {
      if ((event.type as string) === 'xstate.init') continue;
      const effects = one.take(event as never);
      const replies = effects.filter(({ type }) => type === 'reply').length;
      const sends = effects.filter(({ type }) => type === 'send').length;
      if (event.type.startsWith('session.') && !(PASSED_ON.has(event.type) && sends > 0))
        assert.is(replies, 1, event.type);
      else assert.ok(replies <= 1, event.type);
      endings.push(
        ...effects.filter((effect) => effect.type === 'event' && /^session_(closed|expired)$/.test(effect.event)),
      );
    }
    const { value, context } = one.standing();
    assert.is(endings.length, one.done() ? 1 : 0, value);
    if (one.done()) assert.is(context.executions.length, 0);
  }
});

test.run();
