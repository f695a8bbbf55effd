import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../contract/agents.ts';
import { withExecution, type TestExecution } from '../support/execution.ts';

/** Steps and sleeps on real threads, with the real machine. */
const test = suite('agent-steps');

const result = async (one: TestExecution): Promise<unknown> => {
  await one.is('completed');
  return one.context().result;
};
const names = ({ events }: TestExecution): string[] => events.map(({ event }) => event.slice('execution_'.length));

test(
  'a sleep ends the run and begins it again from the top, past the finished steps',
  withExecution(async (one) => {
    one.accept({ ms: 300 });
    await one.is('waiting');
    assert.equal(one.pool.depth(), { queued: 0, reserved: 0, running: 0 });
    const [first, second, third, ended] = (await result(one)) as [string, { at: number }, string, number];
    assert.equal([first, { ...second, at: 0 }, third], ['one', { after: 'one', text: 'two', at: 0 }, 'three']);
    assert.ok(ended - second.at >= 300, `${ended - second.at} ms`);
    assert.equal(await one.lines(), ['run 1', 'one', 'two', 'run 1', 'three']);
    assert.equal(names(one), ['queued', 'started', 'waiting', 'started', 'completed']);
    const { attempts, starts, recorded } = one.context();
    assert.equal([attempts, starts, recorded.length], [1, 2, 4]);
  }),
);

test(
  'a step that throws is run again with the next attempt, those before it are not',
  withExecution(async (one) => {
    one.accept({ do: 'again' });
    assert.equal(await result(one), [true, 'at last', 2]);
    assert.equal(await one.lines(), ['nothing', 'fails', 'fails']);
    assert.equal(names(one), ['queued', 'started', 'retrying', 'started', 'completed']);
  }),
);

test(
  'a step resolves no sooner than its result is durable',
  withExecution(async (one) => {
    const durable = Promise.withResolvers<void>();
    one.commit = () => durable.promise;
    one.accept({ ms: 1 });
    await until(() => one.context().recorded.length === 1, 'the first step');
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(await one.lines(), ['run 1', 'one']);
    durable.resolve();
    await one.is('completed');
  }),
);

test(
  'what a step and a sleep refuse, and with which code',
  withExecution(async (one) => {
    one.accept({ do: 'refused' });
    assert.equal(await result(one), [
      'conflict',
      'invalid_input',
      'invalid_input',
      'too_large',
      'result_invalid',
      'invalid_input',
      'invalid_input',
      'invalid_input',
    ]);
    assert.equal(
      one.context().recorded.map(({ key }) => key),
      ['step once', 'step a'],
    );
  }),
);

const answer = (one: TestExecution, name: string, status: string): void => {
  const asked = one.context().awaited.find(({ key }) => key === `confirm ${name}` || key === name);
  if (asked?.reason !== 'confirm') throw new Error(`${name} is not asked`);
  const { coordination_id } = asked;
  one.take({
    type: 'execution.confirmed',
    confirmation: { coordination_id, status, confirmations: [], rejections: [] },
  } as { type: string });
};

test(
  'questions end the run and are put once; the run after their answers finds them, and one may race with a time',
  withExecution(async (one) => {
    one.accept({ do: 'asks', ms: 200 });
    await one.is('waiting');
    const ids = one.context().awaited.map((each) => (each.reason === 'confirm' ? each.coordination_id : ''));
    assert.is(new Set(ids).size, 2);
    answer(one, 'left', 'rejected');
    await until(() => one.context().starts === 2 && one.state() === 'waiting', 'the second run');
    assert.equal(
      one.context().awaited.map((each) => (each.reason === 'confirm' ? each.coordination_id : '')),
      [ids[1]],
      'what was asked is not asked again',
    );
    answer(one, 'right', 'confirmed');
    assert.equal(await result(one), ['rejected', 'confirmed', 'late']);
    assert.is(one.context().attempts, 1);
    const waits = one.events.filter(({ event }) => event === 'execution_waiting').map(({ data }) => data['reason']);
    assert.ok(waits.every((reason) => reason === 'confirm'));
  }),
);

test(
  'what a question is refused for, and with which code',
  withExecution(async (one) => {
    one.accept({ do: 'notAsked' });
    assert.equal(await result(one), [
      'conflict',
      'invalid_input',
      'invalid_input',
      'invalid_input',
      'too_large',
      'result_invalid',
    ]);
  }),
);

for (const way of ['many', 'much'])
  test(
    `an execution may not record too much (${way})`,
    withExecution(async (one) => {
      one.accept({ do: way });
      assert.is(await result(one), 'too_large');
    }),
  );

test(
  'a step beside a sleep is not abandoned, and wins over later runs what it has won',
  withExecution(async (one) => {
    one.accept({ do: 'quick', ms: 60 });
    assert.equal(await result(one), ['run: quick', 'quick']);
    assert.equal((await one.lines()).filter((text) => text === 'quick').length, 1);
  }),
);

test(
  'a sleep beside a step is its timeout, and stays so when the step has ended since',
  withExecution(async (one) => {
    one.accept({ do: 'late', ms: 40 });
    assert.equal(await result(one), ['run: late', 'late']);
    assert.equal(
      one.context().recorded.map(({ key }) => key),
      ['sleep limit', 'step slow', 'sleep#1'],
    );
    assert.equal(await one.lines(), ['slow', 'run: late']);
  }),
);

test(
  'sleeps at the same time wait side by side',
  withExecution(async (one) => {
    one.accept({ do: 'together', ms: 100 });
    assert.is(await result(one), 'all');
    assert.equal(
      one.context().recorded.map(({ key }) => key),
      ['sleep#2', 'sleep named', 'sleep#1'],
    );
    const slept = (one.events.at(-1)?.at ?? 0) - (one.events[0]?.at ?? 0);
    assert.ok(slept >= 300, `${slept} ms`);
    assert.is((await one.lines()).length, 4, 'one run before, and one after each');
  }),
);

test(
  'nothing of an abandoned run is heard',
  withExecution(async (one) => {
    one.accept({ do: 'abandoned', ms: 500 });
    await until(() => names(one).includes('waiting'), 'the sleep');
    await one.is('completed');
    assert.is(one.context().result, 'woken');
    assert.equal(await one.lines(), ['it did go on: Error: the run has ended']);
    assert.equal(names(one), ['queued', 'started', 'progress', 'waiting', 'started', 'progress', 'completed']);
    assert.ok(one.events.every(({ data }) => data['message'] !== 'abandoned'));
  }),
);

test(
  'artifacts of a step stay, and one that is being written is not abandoned',
  withExecution(async (one) => {
    one.accept({ do: 'artifact', ms: 200 });
    await one.is('waiting');
    assert.equal(
      one.context().recorded.map(({ key }) => key),
      ['step write', 'step after'],
    );
    const sha256 = await result(one);
    const { artifacts } = one.context();
    assert.equal(artifacts.map(({ name }) => name).toSorted(), ['late', 'note']);
    assert.is(artifacts.find(({ name }) => name === 'note')?.sha256, sha256);
    assert.equal(await one.lines(), ['note', 'after']);
  }),
);

test(
  'an execution may write no more artifacts than one run',
  withExecution(async (one) => {
    one.accept({ do: 'artifacts' });
    assert.is(await result(one), 'too_large');
    assert.is(one.context().artifacts.length, 100);
  }),
);

test(
  'cancelled with a step in flight: who listens hears it, and who does not is ended',
  withExecution(async (one) => {
    one.accept({ do: 'listening' });
    await until(() => one.context().awaited.length === 1, 'the sleep beside the step');
    one.take({ type: 'execution.cancel', by: null } as { type: string });
    await one.is('cancelled');
    await until(() => one.pool.readyThreads() === 1, 'the thread');
    for (let lines: string[] = []; lines[0] !== 'sleep cancelled'; lines = await one.lines())
      await new Promise((resolve) => setTimeout(resolve, 5));
  }),
);

test(
  'a deaf step costs its thread, and nobody else anything',
  withExecution(async (one) => {
    one.accept({ do: 'deaf' }, { timeout_ms: 300 });
    await one.is('timed_out');
    assert.is(one.context().recorded.length, 0);
    await until(() => one.pool.readyThreads() === 0, 'the forced end');
    await until(() => one.pool.readyThreads() === 1, 'a new thread');
    assert.equal(await one.lines(), ['deaf']);
    assert.equal(names(one), ['queued', 'started', 'timed_out']);
  }),
);

test(
  'a wait that is cancelled holds nothing',
  withExecution(async (one) => {
    one.accept({ ms: 3_600_000 });
    await one.is('waiting');
    one.take({ type: 'execution.revoke', capability_ids: ['cap_1'] } as { type: string });
    assert.is(one.state(), 'cancelled');
    assert.equal(one.pool.depth(), { queued: 0, reserved: 0, running: 0 });
  }),
);

test.run();
