import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Loaded } from '../../actors/journal.ts';
import { wakeResident } from '../../actors/resident.ts';
import { catalogue } from '../../machines/catalogue.ts';
import type { Effect } from '../../machines/effect.ts';
import { executionView, clientView, sessionView } from '../../src/gateway/views.ts';

/** What older releases have stored wakes and goes on (contract, promise 16). */
const test = suite('resident');

const START = 1_700_000_000_000;
const SESSION = 'ses_1';
const CALLER = { principal: 'ada', client_id: 'cli_1' };
const CAPABILITY = {
  id: 'cap_1',
  resource_type: 'cli_operations',
  operations: ['read', 'write', 'execute'],
  scope: ['*'],
  constraints: { expires_at: '2099-01-01T00:00:00.000Z' },
  principal: 'ada',
  session_id: SESSION,
  parent_id: null,
  depth: 0,
  issued_at: '2023-11-14T22:13:20.000Z',
};

/** As the release before steps and sleeps wrote it; the one before authority had no `charged` either. */
const oldExecution = (more: object) => ({
  deadline: START + 60_000,
  waits: null,
  label: null,
  session_id: SESSION,
  execution_id: 'exe_1',
  command: {
    name: 'slow',
    operation: 'write',
    resource: 'operations',
    risk: 'medium',
    audit: false,
    mode: 'async',
    timeout: 60,
    max_attempts: 3,
  },
  args: { ms: 1 },
  started_by: CALLER,
  capability_id: 'cap_1',
  idempotency_key: null,
  priority: 0,
  timeout_ms: 60_000,
  progress: 40,
  attempts: 0,
  result: null,
  error: null,
  artifacts: [],
  accepted_at: START,
  started_at: null,
  ended_at: null,
  ...more,
});

/** As the release before authority wrote it. */
const oldSession = (more: object = {}) => ({
  deadline: START + 60_000,
  waits: null,
  label: 'ada',
  session_id: SESSION,
  owner: 'ada',
  root_capability_id: 'cap_root',
  ttl_ms: 604_800_000,
  opened_at: START,
  last_active_at: START,
  closed_at: null,
  ending: null,
  clients: {
    cli_1: { type: 'cli', name: null, principal: 'ada', attached: false, capabilities: [CAPABILITY] },
  },
  executions: [{ id: 'exe_1', by: 'cli_1', queued: false }],
  counts: { accepted: 1, queued: 0 },
  ...more,
});

const wake = (kind: string, id: string, state: string, context: object, version = 1) => {
  const key = `${SESSION}/${kind}/${id}`;
  const loaded: Loaded = {
    session: SESSION,
    seq: 7,
    actors: [{ key, version, state, done: false, context: JSON.stringify(context) }],
    remembered: [],
  };
  let effects: Effect[] = [];
  const hosted = wakeResident(loaded, 0, catalogue, (effect) => void effects.push(effect)).actors.get(key);
  if (hosted === undefined) throw new Error(`${key} did not wake`);
  return {
    hosted,
    context: () => hosted.standing().context as unknown as Record<string, unknown>,
    take: (message: object, at = START + 1_000): string[] => {
      effects = [];
      assert.ok(hosted.take({ at, random: 0.5, ...message } as never), String(hosted.thrown()));
      return effects.map((effect) => (effect.type === 'event' ? effect.event : effect.type));
    },
    last: () => effects,
  };
};

test('an execution that was running when an old release ended is tried again, and counts that attempt', () => {
  for (const more of [{}, { charged: ['cap_1'] }]) {
    const one = wake('execution', 'exe_1', 'running', oldExecution({ attempts: 2, waits: 'run:2', ...more }));
    // What the journal has of it still waits for the start that it knows by that number.
    const lost = { type: 'execution.fail', start: 2, retryable: true, artifacts: [] };
    assert.equal(one.take({ ...lost, problem: { code: 'handler_crashed', detail: 'lost' } }), ['execution_retrying']);
    assert.is(one.context()['failures'], 2);
    assert.equal(one.take({ type: 'deadline' }, START + 10_000), ['enqueue', 'send']);
    assert.equal(one.take({ type: 'execution.start' }), ['execution_started', 'run', 'send']);
    const [, run] = one.last();
    assert.ok(run?.type === 'run');
    assert.equal([run.run.start, run.run.attempt], [3, 3]);
    assert.equal(one.take({ type: 'execution.complete', start: 3, result: 1, artifacts: [] }), [
      'execution_completed',
      'send',
    ]);
    assert.is(one.context()['progress'], 40);
  }
});

test('one that was queued, or between two attempts, goes on with the next', () => {
  for (const [state, attempts] of [
    ['queued', 0],
    ['queued', 1],
    ['retrying', 1],
  ] as const) {
    const one = wake('execution', 'exe_1', state, oldExecution({ attempts }));
    one.take({ type: 'execution.start' });
    assert.equal([one.context()['starts'], one.context()['attempts']], [attempts + 1, attempts + 1], state);
    assert.equal(one.take({ type: 'deadline' }, START + 60_000), ['execution_timed_out', 'stop', 'send']);
  }
});

test('what this release has stored is left as it is', () => {
  const stored = { ...oldExecution({ attempts: 1 }), starts: 5, failures: 0, recorded: [{ key: 'step a', result: 1 }] };
  const version = catalogue['execution']?.version ?? 0;
  const one = wake('execution', 'exe_1', 'running', stored, version);
  assert.equal(one.context(), stored);
});

test('a session from before shares and budgets takes calls, shares, and lapses', () => {
  for (const state of ['active', 'suspended']) {
    const one = wake('session', SESSION, state, oldSession());
    assert.equal(
      [one.context()['shares'], one.context()['idle_at'], one.context()['lapses_at']],
      [{}, START + 60_000, Date.parse('2099-01-01T00:00:00.000Z')],
    );
    const command = { ...(oldExecution({}).command as object) };
    const execute = {
      type: 'session.execute',
      caller: CALLER,
      execution_id: 'exe_2',
      command,
      args: {},
      timeout_ms: 1_000,
      priority: 0,
      reserved: true,
      unattended: false,
      idempotency: null,
    };
    assert.ok(one.take(execute).includes('send'), 'it is accepted');
    const share = { share_id: 'shr_1', capability_id: 'cap_2', token_hash: '', label: null, asked: {} };
    assert.ok(one.take({ type: 'session.share', caller: CALLER, share }).includes('reply'));
    assert.equal(Object.keys(one.context()['shares'] as object), ['shr_1']);
    one.take({ type: 'execution.ended', execution_id: 'exe_1', charged: [] });
    assert.equal(one.take({ type: 'client.presence', client_id: 'cli_1', attached: true }), []);
    assert.equal(one.take({ type: 'session.close', caller: CALLER }).slice(0, 1), ['reply']);
  }
});

test('an old session that is ending goes on to end', () => {
  const ending = oldSession({ ending: 'closed', deadline: START + 30_000 });
  const one = wake('session', SESSION, 'draining', ending);
  assert.ok(one.take({ type: 'execution.ended', execution_id: 'exe_1', charged: [] }).includes('session_closed'));
});

test('reads show what was stored before as well', () => {
  const stored = (kind: string, id: string, state: string, context: object) => ({
    key: `${SESSION}/${kind}/${id}`,
    session: SESSION as never,
    kind,
    id,
    state,
    done: false,
    context: context as Record<string, unknown>,
  });
  const shown = executionView(stored('execution', 'exe_1', 'running', oldExecution({ attempts: 1 })));
  assert.equal([shown.status, shown.attempts, shown.progress], ['running', 1, 40]);
  assert.is(sessionView(stored('session', SESSION, 'active', oldSession())).status, 'active');
  const { deadline, waits, label } = oldSession();
  const client = { deadline, waits, label, session_id: SESSION, client_id: 'cli_1', type: 'cli', name: null };
  const before = { ...client, principal: 'ada', token_hash: '', capabilities: [], joined_at: START, left_at: null };
  assert.is(clientView(stored('client', 'cli_1', 'attached', before)).via_share, null);
  assert.is(wake('client', 'cli_1', 'attached', before).context()['via_share'], null);
});

test.run();
