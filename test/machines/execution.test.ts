import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ArtifactInfo } from '../../machines/command.ts';
import { MASK } from '../../machines/mask.ts';
import {
  GATE,
  OWNER,
  START,
  TIMEOUT,
  accept,
  complete,
  confirm,
  confirmed,
  crashed,
  create,
  deadline,
  events,
  facts,
  fail,
  failed,
  runs,
  sleeps,
  start,
  step,
  types,
  wait,
  type Incoming,
} from '../support/execution-messages.ts';

const test = suite('execution');

test('with a reserved place it is queued, started and running in the turn of its acceptance', () => {
  const one = create();
  const effects = one.take(accept(true));
  assert.equal(types(effects), ['execution_queued', 'execution_started', 'run', 'reply']);
  assert.equal(effects[2], {
    type: 'run',
    run: {
      execution_id: 'exe_1',
      start: 1,
      attempt: 1,
      command: 'analyze',
      args: { path: '.' },
      idempotency_key: 'exe_1',
    },
  });
  const { value, context } = one.standing();
  assert.is(value, 'running');
  assert.is(context.waits, 'run:1');
  assert.is(context.deadline, START + TIMEOUT);
});

test('without one it waits for a place', () => {
  const one = create();
  assert.equal(types(one.take(accept(false))), ['execution_queued', 'enqueue', 'reply']);
  assert.is(one.standing().context.waits, 'enqueue:3');
  assert.equal(types(one.take(start(START + 5))), ['execution_started', 'run', 'execution.changed']);
  assert.equal(types(one.take(complete(1, START + 9))), ['execution_completed', 'execution.ended']);
  const { context } = one.standing();
  assert.equal(
    [context.accepted_at, context.started_at, context.ended_at, context.deadline, context.waits],
    [START, START + 5, START + 9, null, null],
  );
  assert.equal(context.result, { ok: true });
});

test('a lost attempt is tried again after the backoff, and the last one says that all were lost', () => {
  const one = create();
  one.take(accept(true, 2));
  const retrying = one.take(fail(1, START + 10));
  assert.equal(retrying, [
    {
      type: 'event',
      event: 'execution_retrying',
      subject: 'exe_1',
      data: { execution_id: 'exe_1', attempt: 1, delay_ms: 500, problem: crashed },
      severity: 'warning',
    },
  ]);
  assert.is(one.standing().context.deadline, START + 510);
  assert.equal(one.take(deadline(START + 509)), [], 'never early');
  assert.equal(types(one.take(deadline(START + 510))), ['enqueue', 'execution.changed']);
  assert.equal(types(one.take(start(START + 600))), ['execution_started', 'run', 'execution.changed']);
  assert.equal(one.take(complete(1, START + 601)), [], 'a late result of the first attempt is nobody’s');
  assert.equal(events(one.take(fail(2, START + 700))), ['execution_failed']);
  const { error } = one.standing().context;
  assert.is(error?.code, 'attempts_exhausted');
  assert.is(error?.cause, 'handler_crashed');
});

test('the loss of a start that is over costs the one that runs nothing', () => {
  const one = create();
  one.take(accept(true, 3));
  one.take(fail(1, START + 10));
  one.take(deadline(START + 510));
  one.take(start(START + 600));
  assert.equal(one.take(fail(1, START + 601)), []);
  assert.equal([one.standing().value, one.standing().context.failures], ['running', 1]);
});

test('a terminal error is not tried again and is kept as it is', () => {
  const one = create();
  one.take(accept(true));
  assert.equal(events(one.take(fail(1, START + 10, false, failed))), ['execution_failed']);
  assert.equal(one.standing().context.error, failed);
});

test('a retry does not outlive the deadline of the whole', () => {
  const one = create();
  one.take(accept(true));
  one.take(fail(1, START + TIMEOUT - 10));
  assert.is(one.standing().context.deadline, START + TIMEOUT);
  assert.equal(types(one.take(deadline(START + TIMEOUT))), ['execution_timed_out', 'stop', 'execution.ended']);
});

test('what it waits for before it starts is named to whoever asked for it, and its time does not count', () => {
  const one = create();
  const effects = one.take(accept(true, 4, true));
  const [queued, answer] = [effects[0], effects.at(-1)] as [{ data: object }, { answer: { body: object } }];
  assert.equal(types(effects), ['execution_queued', 'reply']);
  assert.match(JSON.stringify(queued.data), `"awaiting_confirmation":"${GATE}"`);
  assert.equal(answer.answer.body, { execution_id: 'exe_1', status: 'pending', coordination_id: GATE });
  assert.is(one.standing().context.deadline, null);
  const other = create();
  other.take(accept(true, 4, true));
  assert.equal(types(other.take(confirmed(GATE, START + 900_000))), ['enqueue', 'execution.changed']);
  assert.is(other.standing().context.deadline, START + 900_000 + TIMEOUT);
  for (const status of ['rejected', 'timed_out', 'cancelled'] as const) {
    const never = create();
    never.take(accept(true, 4, true));
    never.take(confirmed(GATE, START + 5_000, status));
    const { error, waited_ms } = never.standing().context;
    assert.equal([error?.code, waited_ms], [status === 'cancelled' ? status : 'not_confirmed', 5_000]);
  }
});

test('what is asked in the middle is asked in the name of who started it, and hides secrets', () => {
  const one = create();
  const gate = accept(true) as Extract<Incoming, { type: 'execution.accept' }>;
  const caller = { principal: 'bob', client_id: 'cli_b' } as const;
  one.take({ ...gate, caller, command: { ...gate.command, secrets: ['pin'] } } as Incoming);
  const waits = confirm(1, START, 'crd_a') as Extract<Incoming, { type: 'execution.wait' }>;
  const details = { pin: 1, api_key: 'k', target: 'production' };
  const sent = one
    .take({ ...waits, asked: waits.asked.map((each) => ({ ...each, details })) } as Incoming)
    .flatMap((effect) => (effect.type === 'send' ? [effect.message as Partial<Record<string, unknown>>] : []));
  assert.equal(
    sent.map((message) => [message['type'], message['execution_id'], message['requester'], message['details']]),
    [['session.confirm', 'exe_1', caller, { pin: MASK, api_key: MASK, target: 'production' }]],
  );
});

test('an answer is kept wherever it finds its execution, and the next run has it', () => {
  const ways: Readonly<Record<string, readonly Incoming[]>> = {
    running: [],
    waiting: [confirm(1, START, 'crd_b')],
    retrying: [fail(1, START)],
    queued: [fail(1, START), deadline(START + 20_000)],
  };
  for (const [state, way] of Object.entries(ways)) {
    const one = create();
    one.take(accept(true));
    for (const message of [confirm(1, START, 'crd_a', false), ...way]) one.take(message);
    assert.is(one.standing().value, state);
    one.take(confirmed('crd_a', START + 20_000));
    assert.equal(
      one.standing().context.recorded.map(({ key, result }) => [key, (result as { status: string }).status]),
      [['confirm crd_a', 'confirmed']],
      state,
    );
  }
});

test('a question is put once, whatever id a later run draws; no other’s outcome wakes; what is open as it ends is taken back', () => {
  const one = create();
  one.take(accept(true));
  assert.equal(types(one.take(confirm(1, START, 'crd_a', false))), ['session.confirm']);
  assert.equal(types(one.take(confirm(1, START, 'crd_a2', true, 'crd_a'))), ['execution_waiting']);
  for (const id of ['crd_a2', GATE] as const) assert.equal(one.take(confirmed(id, START)), [], id);
  assert.is(one.standing().value, 'waiting');
  assert.equal(types(one.take({ type: 'execution.cancel', by: null, at: START, random: 0 } as Incoming)), [
    'execution_cancelled',
    'stop',
    'coordination.cancel',
    'execution.ended',
  ]);
});

test('whose authority is revoked while it waits for a yes never starts, and its question is taken back', () => {
  const messages = [
    { type: 'execution.revoke', capability_ids: ['cap_1'], at: START, random: 0 },
    { type: 'execution.cancel', by: null, at: START, random: 0 },
  ] as Incoming[];
  for (const message of messages) {
    const one = create();
    one.take(accept(false, 4, true));
    assert.equal(types(one.take(message)), ['execution_cancelled', 'stop', 'coordination.cancel', 'execution.ended']);
  }
});

test('an answer that came while it went on wakes it as soon as it waits for it', () => {
  const one = create();
  one.take(accept(true));
  one.take(confirm(1, START, 'crd_a', false));
  one.take(confirmed('crd_a', START + 1));
  one.take(confirm(1, START + 2, 'crd_a'));
  assert.equal([one.standing().value, one.standing().context.deadline], ['waiting', START + 2]);
  one.take(deadline(START + 2));
  const [next] = runs(one.take(start(START + 3)));
  assert.equal(
    next?.recorded?.map(({ key }) => key),
    ['confirm crd_a'],
  );
});

test('cancelling answers whoever asked, and nobody where the session did it', () => {
  const asked = create();
  asked.take(accept(true));
  const cancel = { type: 'execution.cancel', at: START + 1, random: 0 } as const;
  const effects = asked.take({ ...cancel, by: OWNER } as Incoming);
  assert.equal(types(effects), ['execution_cancelled', 'stop', 'reply', 'execution.ended']);
  const silent = create();
  silent.take(accept(false));
  assert.equal(types(silent.take({ ...cancel, by: null } as Incoming)), [
    'execution_cancelled',
    'stop',
    'execution.ended',
  ]);
});

test('revoking what it was accepted under, or charged to, cancels it wherever it stands; anything else does not', () => {
  const revoke = (...capability_ids: string[]) =>
    ({ type: 'execution.revoke', capability_ids, at: START + 1, random: 0 }) as Incoming;
  const charged = ['cap_1', 'cap_parent'];
  const ways: Record<string, Incoming[]> = {
    queued: [accept(false)],
    running: [accept(true)],
    waiting: [accept(true), wait(1, START, { a: 5_000 })],
    retrying: [accept(true), fail(1, START)],
  };
  for (const [state, way] of Object.entries(ways))
    for (const id of ['cap_1', 'cap_parent']) {
      const one = create();
      for (const message of way)
        one.take((message.type === 'execution.accept' ? { ...message, charged } : message) as Incoming);
      assert.is(one.standing().value, state);
      assert.equal(one.take(revoke('cap_2', 'exe_1')), []);
      assert.equal(one.take(revoke()), []);
      const [event, ...effects] = one.take(revoke('cap_0', id));
      assert.equal(types(effects), ['stop', 'execution.ended'], 'nobody waits for a reply');
      const data = { execution_id: 'exe_1', cancelled_by: null, reason: 'revoked' };
      assert.ok(event?.type === 'event');
      assert.equal([event.event, event.data], ['execution_cancelled', data]);
      const { value, context } = one.standing();
      assert.equal([value, context.error?.code, context.error?.['reason']], ['cancelled', 'cancelled', 'revoked']);
    }
});

test('a sleep holds no thread, wakes in time, and counts neither as an attempt nor to the timeout', () => {
  const one = create();
  one.take(accept(true, 1));
  assert.equal(one.take(wait(1, START + 1_000, { a: 100_000.5 })), [
    {
      type: 'event',
      event: 'execution_waiting',
      subject: 'exe_1',
      data: { execution_id: 'exe_1', until: new Date(START + 101_001).toISOString(), reason: 'sleep' },
    },
  ]);
  assert.is(one.standing().value, 'waiting');
  assert.is(one.standing().context.waits, null);
  assert.equal(one.take(complete(1, START + 1_001)), [], 'the run is over');
  assert.equal(one.take(fail(1, START + 1_001)), [], 'also where its thread was lost since');
  assert.equal(one.take(start(START + 1_001)), []);
  assert.equal(one.take(deadline(START + 101_000)), [], 'never early');
  assert.equal(types(one.take(deadline(START + 101_001))), ['enqueue', 'execution.changed']);
  assert.is(one.standing().context.deadline, START + TIMEOUT + 100_001);
  const effects = one.take(start(START + 101_010));
  assert.equal(types(effects), ['execution_started', 'run', 'execution.changed']);
  const [again] = runs(effects);
  assert.equal([again?.start, again?.attempt, again?.recorded, again?.awaited], [2, 1, [{ key: 'a' }], undefined]);
  assert.equal(one.take(complete(1, START + 101_011)), [], 'the first run is fenced');
  assert.equal(events(one.take(complete(2, START + 101_020))), ['execution_completed']);
  assert.is(one.standing().context.attempts, 1);
});

test('whose time is over does not sleep any more, also where the sleep arrives before the deadline', () => {
  const one = create();
  one.take(accept(true));
  assert.equal(types(one.take(wait(1, START + TIMEOUT, { a: 100_000 }))), [
    'execution_timed_out',
    'stop',
    'execution.ended',
  ]);
  assert.is(one.standing().context.deadline, null);
});

test('who waits for nothing goes on, and does not wait for ever', () => {
  const one = create();
  one.take(accept(true));
  assert.equal(one.take(wait(1, START + 5, {})), []);
  assert.is(one.standing().value, 'running');
  one.take(wait(1, START + 10, { a: 100, b: 200 }));
  one.take(deadline(START + 110));
  one.take(start(START + 111));
  assert.equal(events(one.take(wait(2, START + 112, {}))), ['execution_waiting'], 'what it waited for before counts');
});

test('several sleeps wait side by side: the first wakes, the others keep their time over retries', () => {
  const one = create();
  one.take(accept(true));
  one.take(wait(1, START, { a: 3_000, b: 1_000, c: 2_000 }));
  one.take(deadline(START + 1_000));
  const [second] = runs(one.take(start(START + 1_500)));
  assert.equal(second?.recorded, [{ key: 'b' }]);
  assert.equal(second?.awaited, [
    { key: 'a', remaining_ms: 1_500 },
    { key: 'c', remaining_ms: 500 },
  ]);
  one.take(fail(2, START + 1_600));
  one.take(deadline(START + 2_100));
  const [third] = runs(one.take(start(START + 3_000)));
  assert.equal(third?.recorded, [{ key: 'b' }, { key: 'c' }, { key: 'a' }], 'in the order of their times');
  assert.equal([third?.start, third?.attempt], [3, 2]);
});

test('a sleep beside a step has its time from then on, and one that ended there is finished', () => {
  const one = create();
  one.take(accept(true));
  assert.equal(one.take(wait(1, START, { a: 1_000, b: 9_000 }, false)), []);
  assert.is(one.standing().value, 'running');
  one.take(step(1, START + 1_000, 'a', undefined));
  one.take(wait(1, START + 5_000, { b: 9_000 }));
  assert.equal(
    sleeps(one.standing().context.awaited).map(({ key, until }) => [key, until]),
    [['b', START + 9_000]],
  );
});

test('steps travel with the next run, with the artifacts that were written until then, and are not overwritten', () => {
  const one = create();
  const artifact = (name: string, bytes: number): ArtifactInfo => ({ name, bytes, sha256: '', media_type: 'a/b' });
  one.take(accept(true));
  assert.equal(one.take(step(1, START, 'step a', { n: 1 }, [artifact('x', 1), artifact('y', 1)])), []);
  one.take(step(1, START, 'step a', { n: 2 }));
  one.take(step(2, START, 'step b', 2));
  one.take(fail(1, START));
  one.take(deadline(START + 1_000));
  const [again] = runs(one.take(start(START + 1_000)));
  assert.equal(again?.recorded, [{ key: 'step a', result: { n: 1 } }]);
  assert.equal(again?.artifacts, [artifact('x', 1), artifact('y', 1)]);
  one.take(step(2, START, 'step b', 2, [artifact('x', 2)]));
  one.take(complete(2, START + 1_100));
  assert.equal(one.standing().context.artifacts, [artifact('y', 1), artifact('x', 2)]);
});

test('waiting is ended by whoever may cancel, and by its session', () => {
  for (const by of [null, OWNER]) {
    const one = create();
    one.take(accept(true));
    one.take(wait(1, START, { a: 1_000 }));
    const cancel = { type: 'execution.cancel', by, at: START, random: 0 } as Incoming;
    assert.equal(events(one.take(cancel)), ['execution_cancelled']);
    assert.is(one.standing().context.deadline, null);
  }
});

test('the backoff is the command’s own where it has one', () => {
  const one = create();
  const command = { ...facts(4), backoff: { base_ms: 10, cap_ms: 15 } };
  one.take({ ...accept(true), command } as Incoming);
  one.take({ ...fail(1, START), random: 0.999 } as Incoming);
  assert.is(one.standing().context.deadline, START + 9);
  one.take(deadline(START + 9));
  one.take(start(START + 9));
  one.take({ ...fail(2, START + 9), random: 0.999 } as Incoming);
  assert.is(one.standing().context.deadline, START + 9 + 14, 'capped');
});

test.run();
