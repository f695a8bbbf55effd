import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Effect } from '../../machines/effect.ts';
import { problem } from '../../machines/error.ts';
import { BLANK_EXECUTION } from '../../machines/execution-context.ts';
import { executionFailure } from '../../machines/execution.ts';
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
  fail,
  failed,
  runs,
  start,
  step,
  types,
  wait,
  type Incoming,
} from '../support/execution-messages.ts';

/** What an execution says of itself: the data of its events, what its session counts, and what a run is given. */
const test = suite('the facts of an execution');

const dataOf = (effects: readonly Effect[], type: string): Record<string, unknown> => {
  const [found, ...more] = effects.flatMap((effect) =>
    effect.type === 'event' && effect.event === `execution_${type}` ? [effect.data] : [],
  );
  assert.ok(found !== undefined && more.length === 0, `one execution_${type}`);
  return found as Record<string, unknown>;
};
/** What the session is told of its queue. */
const counted = (effects: readonly Effect[]): unknown[] =>
  effects.flatMap((effect) =>
    effect.type === 'send' && effect.message.type === 'execution.changed'
      ? [(effect.message as { readonly queued?: boolean }).queued]
      : [],
  );
/** Accepted with a place, so that it runs. */
const running = (max_attempts = 4) => {
  const one = create();
  one.take(accept(true, max_attempts));
  return one;
};

test('what was accepted is in its first event', () => {
  const said = { execution_id: 'exe_1', command: 'analyze', priority: 3, timeout_ms: TIMEOUT, started_by: OWNER };
  assert.equal(dataOf(create().take(accept(true)), 'queued'), said);
  assert.equal(dataOf(create().take(accept(true, 4, true)), 'queued'), { ...said, awaiting_confirmation: GATE });
});

test('how long it took counts from its first start; what never ran took no time', () => {
  const one = create();
  one.take(accept(false, 2));
  one.take(start(START + 100));
  one.take(fail(1, START + 200));
  one.take(deadline(START + 700));
  one.take(start(START + 900));
  assert.is(dataOf(one.take(complete(2, START + 1_100)), 'completed')['duration_ms'], 1_000);
  const lost = running(1);
  assert.is(dataOf(lost.take(fail(1, START + 70)), 'failed')['duration_ms'], 70);
  const clock = running(1);
  assert.is(dataOf(clock.take(fail(1, START - 70)), 'failed')['duration_ms'], 0, 'never negative');
  for (const status of ['rejected', 'timed_out'] as const) {
    const never = create();
    never.take(accept(true, 4, true));
    const { attempts, duration_ms, artifacts, error } = dataOf(
      never.take(confirmed(GATE, START + 9, status)),
      'failed',
    );
    assert.equal([attempts, duration_ms, artifacts], [0, 0, []]);
    assert.match(JSON.stringify(error), `"reason":"${status}"`);
  }
});

test('the session counts it as queued from when it queues until it starts', () => {
  const one = create();
  one.take(accept(false));
  assert.equal(counted(one.take(start(START + 1))), [false]);
  one.take(wait(1, START + 2, { a: 100 }));
  assert.equal(counted(one.take(deadline(START + 102))), [true]);
  assert.equal(counted(one.take(start(START + 103))), [false]);
  one.take(fail(2, START + 104));
  assert.equal(counted(one.take(deadline(START + 604))), [true]);
});

test('an answer that it waits for queues it at once, counted, with its time moved by the waiting', () => {
  const one = running();
  one.take(confirm(1, START + 10, 'crd_a'));
  const effects = one.take(confirmed('crd_a', START + 5_010));
  assert.equal(types(effects), ['enqueue', 'execution.changed']);
  assert.equal(counted(effects), [true]);
  const { deadline: until, waits, waiting_since, waited_ms } = one.standing().context;
  assert.equal([until, waits, waiting_since, waited_ms], [START + TIMEOUT + 5_000, 'enqueue:3', null, 5_000]);
});

test('what it waits for is in the event: the time that comes first, or the questions', () => {
  const asleep = running();
  const until = new Date(START + 100).toISOString();
  assert.equal(dataOf(asleep.take(wait(1, START, { b: 900, a: 100 })), 'waiting'), {
    execution_id: 'exe_1',
    until,
    reason: 'sleep',
  });
  const asks = running();
  asks.take(wait(1, START, { a: 100 }, false));
  assert.equal(dataOf(asks.take(confirm(1, START, 'crd_a')), 'waiting'), {
    execution_id: 'exe_1',
    until,
    reason: 'confirm',
    coordinations: ['crd_a'],
  });
  const onlyAsks = running();
  assert.is(dataOf(onlyAsks.take(confirm(1, START, 'crd_a')), 'waiting')['until'], null);
});

test('of several questions the one that is answered is finished, and the others stay open', () => {
  const one = running();
  one.take(wait(1, START, { a: 60_000 }, false));
  one.take(confirm(1, START, 'crd_a', false));
  one.take(confirm(1, START, 'crd_b'));
  one.take(confirmed('crd_b', START + 10));
  assert.is(one.standing().value, 'queued');
  const [run] = runs(one.take(start(START + 20)));
  assert.equal(
    run?.recorded?.map(({ key }) => key),
    ['confirm crd_b'],
  );
  assert.equal(run?.awaited, [
    { key: 'a', remaining_ms: 59_980 },
    { key: 'confirm crd_a', remaining_ms: null },
  ]);
});

test('what is finished is not asked for again', () => {
  const one = running();
  one.take(step(1, START, 'confirm crd_a', { status: 'confirmed' }));
  assert.equal(one.take(confirm(1, START + 1, 'crd_a', false)), []);
  assert.equal(one.standing().context.awaited, []);
});

test('progress never falls, also over attempts, and what is not of the current run is ignored', () => {
  const one = create();
  one.take(accept(true));
  const told = (of: number, progress: number) =>
    one
      .take({
        type: 'execution.progress',
        start: of,
        progress,
        message: 'm',
        metadata: { n: 1 },
        at: START,
        random: 0,
      } as Incoming)
      .map((effect) => (effect.type === 'event' ? effect.data : effect));
  const event = (progress: number) => [{ execution_id: 'exe_1', progress, message: 'm', metadata: { n: 1 } }];
  assert.equal(told(1, 40), event(40));
  assert.equal(told(1, 20), event(40));
  assert.equal(told(1, Number.NaN), event(40));
  assert.equal(told(2, 90), []);
  one.take(fail(1, START));
  one.take(start(START));
  assert.equal(told(1, 90), []);
  assert.equal(told(2, 10), event(40));
  assert.equal(told(2, 1_000), event(100));
});

test('a progress that is no number is none', () => {
  const one = running();
  const told = (progress: number): unknown => {
    const at = { at: START, random: 0 };
    const message = { type: 'execution.progress', start: 1, progress, message: '', metadata: {}, ...at } as const;
    return dataOf(one.take(message), 'progress')['progress'];
  };
  assert.equal([told(Number.NaN), told(7), told(Number.POSITIVE_INFINITY), told(101)], [0, 7, 7, 100]);
});

test('only the last loss of a run is told as all attempts used; what a handler says of itself is kept', () => {
  const errorOf = (message: Incoming): unknown => {
    const one = running(1);
    one.take(message);
    return one.standing().context.error;
  };
  assert.equal(errorOf(fail(1, START, true, failed)), failed);
  assert.equal(errorOf(fail(1, START, false, crashed)), crashed);
  const { code, cause, detail } = errorOf(fail(1, START, true, crashed)) as typeof crashed & { readonly cause: string };
  assert.equal([code, cause], ['attempts_exhausted', 'handler_crashed']);
  assert.is(detail, '1 of 1 attempts: the thread ended');
});

test('who ended it is in the reason', () => {
  const detailOf = (message: object): string | undefined => {
    const one = running();
    one.take({ ...message, at: START + TIMEOUT, random: 0 } as Incoming);
    return one.standing().context.error?.detail;
  };
  assert.is(detailOf({ type: 'execution.cancel', by: OWNER }), 'cancelled by ada');
  assert.is(detailOf({ type: 'execution.cancel', by: null }), 'the session ended');
  assert.is(detailOf({ type: 'deadline' }), 'not ended within 30 s of its acceptance');
});

test('one that was never accepted cannot be cancelled, and the session that ends hears nothing of it', () => {
  const cancel = { type: 'execution.cancel', at: START, random: 0 } as const;
  const [refused] = create().take({ ...cancel, by: OWNER } as Incoming);
  assert.match(JSON.stringify(refused), '"code":"not_found"');
  assert.equal(create().take({ ...cancel, by: null } as Incoming), []);
});

test('one that its supervisor gives up ends once all the same, unless it never began', () => {
  const one = running();
  one.take(confirm(1, START, 'crd_a', false));
  const effects = executionFailure(one.standing().context, START + 40);
  assert.equal(types(effects), ['execution_failed', 'stop', 'coordination.cancel', 'execution.ended']);
  const { error, attempts, duration_ms } = dataOf(effects, 'failed');
  assert.equal([attempts, duration_ms], [1, 40]);
  assert.equal(error, problem('actor_failed', 'the execution was given up by its supervisor'));
  assert.equal(executionFailure(BLANK_EXECUTION, START), []);
});

test.run();
