import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Agents, Report, RunPlace } from '../../actors/agents.ts';
import type { Run } from '../../machines/effect.ts';
import type { ExecutionMessage } from '../../machines/message.ts';

/** Absolute URLs of the command modules in `test/support/commands`. */
export const commandModules = (...names: string[]): string[] =>
  names.map((name) => new URL(`../support/commands/${name}.ts`, import.meta.url).href);

const DEADLINE_MS = 30_000;

/** Waits for a condition; the deadline is far beyond what it should take. */
export const until = async (condition: () => boolean, what: string, deadlineMs = DEADLINE_MS): Promise<void> => {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > end) assert.unreachable(`waited ${deadlineMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

export const place = (session = 'ses_a'): RunPlace => ({ session: session as never });

export const runOf = (execution: string, command: string, args: unknown = {}, start = 1): Run => ({
  execution_id: execution as never,
  start,
  attempt: start,
  command,
  args,
  idempotency_key: `key of ${execution}`,
});

export interface Reported {
  readonly execution: string;
  readonly place: RunPlace;
  readonly message: ExecutionMessage;
}

/** Stands for the ring: keeps what is reported, commits at once unless told otherwise. */
export interface Reports {
  readonly report: Report;
  readonly all: Reported[];
  of<Type extends ExecutionMessage['type']>(execution: string, type: Type): Extract<ExecutionMessage, { type: Type }>[];
  /** The one end of an execution; fails when there are more. */
  end(execution: string): Promise<Extract<ExecutionMessage, { type: 'execution.complete' | 'execution.fail' }>>;
  started(): string[];
  /** Called at each report, after it was kept. */
  onReport: (reported: Reported) => void;
  /** What `committed` is. */
  commit: () => Promise<void>;
}

export const createReports = (): Reports => {
  const all: Reported[] = [];
  const of: Reports['of'] = (execution, type) =>
    all
      .filter((each) => each.execution === execution && each.message.type === type)
      .map(({ message }) => message as never);
  const ends = (execution: string) => [...of(execution, 'execution.complete'), ...of(execution, 'execution.fail')];
  const reports: Reports = {
    report: (execution, where, message) => {
      const reported = { execution, place: where, message };
      all.push(reported);
      const committed = reports.commit();
      reports.onReport(reported);
      return { committed };
    },
    all,
    of,
    end: async (execution) => {
      await until(() => ends(execution).length > 0, `the end of ${execution}`);
      assert.is(ends(execution).length, 1, `${execution} has one end`);
      return ends(execution)[0] as never;
    },
    started: () => all.filter(({ message }) => message.type === 'execution.start').map(({ execution }) => execution),
    onReport: () => {},
    commit: () => Promise.resolve(),
  };
  return reports;
};

/** Makes the adapter, with the commands `no-op` and `slow`, and so many threads. */
export type OpenAgents = (report: Report, threads: number) => Promise<Agents>;

/** What every adapter of the Agents port does. */
export const agentsContract = (test: Test, open: OpenAgents): void => {
  const withAgents =
    (threads: number, body: (agents: Agents, reports: Reports) => Promise<void>) => async (): Promise<void> => {
      const reports = createReports();
      const agents = await open(reports.report, threads);
      try {
        await body(agents, reports);
      } finally {
        await agents.close(0);
      }
    };

  /** Takes every place with runs that last. */
  const fill = (agents: Agents): string[] => {
    const runs: string[] = [];
    for (let n = 0; agents.reserve(`exe_fill${n}`); n++) {
      runs.push(`exe_fill${n}`);
      agents.run(runOf(`exe_fill${n}`, 'slow', { ms: 60_000 }), place());
    }
    return runs;
  };

  test(
    'a reserved execution runs and ends once',
    withAgents(2, async (agents, reports) => {
      assert.is(agents.reserve('exe_1'), true);
      assert.is(agents.reserve('exe_1'), true);
      assert.equal(agents.depth(), { queued: 0, reserved: 1, running: 0 });
      agents.run(runOf('exe_1', 'no-op', { value: [1, 'two'] }, 3), place());
      agents.run(runOf('exe_1', 'no-op', { value: [1, 'two'] }, 3), place());
      assert.equal(agents.depth(), { queued: 0, reserved: 0, running: 1 });
      const end = await reports.end('exe_1');
      assert.equal(end, {
        type: 'execution.complete',
        start: 3,
        result: { value: [1, 'two'], pad: '' },
        artifacts: [],
      });
      assert.equal(agents.depth(), { queued: 0, reserved: 0, running: 0 });
      assert.is(agents.has('exe_1', 3), false);
      assert.equal(
        reports.all.map(({ place: { session } }) => session),
        ['ses_a'],
      );
    }),
  );

  test(
    'knows which starts it has',
    withAgents(2, async (agents, reports) => {
      agents.run(runOf('exe_1', 'slow', { ms: 60_000 }, 2), place());
      assert.is(agents.has('exe_1', 2), true);
      assert.is(agents.has('exe_1', 1), false);
      assert.is(agents.has('exe_2', 2), false);
      agents.stop('exe_1', 'cancelled');
      assert.is(agents.has('exe_1', 2), false);
      agents.run(runOf('exe_2', 'no-op'), place());
      await reports.end('exe_2');
      assert.equal(reports.of('exe_1', 'execution.fail'), []);
    }),
  );

  test(
    'says no when it is full, and queues',
    withAgents(2, async (agents, reports) => {
      const runs = fill(agents);
      assert.ok(runs.length >= 2 && runs.length <= 1_002, `${runs.length} places`);
      agents.enqueue('exe_1', place(), 0);
      agents.enqueue('exe_1', place(), 0);
      agents.enqueue('exe_2', place(), 0);
      assert.equal(agents.depth(), { queued: 2, reserved: 0, running: runs.length });
      assert.equal(reports.started(), []);
      agents.stop('exe_2', 'cancelled');
      for (const run of runs) agents.stop(run, 'cancelled');
      await until(() => reports.started().length > 0, 'the offer');
      assert.equal(reports.started(), ['exe_1']);
      assert.equal(agents.depth(), { queued: 0, reserved: 1, running: 0 });
      agents.run(runOf('exe_1', 'no-op'), place());
      await reports.end('exe_1');
      assert.equal(reports.started(), ['exe_1'], 'a stopped execution is not offered a place');
    }),
  );

  test(
    'a place given back is offered to who waits',
    withAgents(1, async (agents, reports) => {
      let last = '';
      for (let n = 0; agents.reserve(`exe_r${n}`); n++) last = `exe_r${n}`;
      agents.enqueue('exe_1', place(), 0);
      assert.equal(reports.started(), []);
      assert.is(agents.reserve('exe_late'), false, 'nobody overtakes the queue');
      agents.release(last);
      agents.release(last);
      assert.equal(reports.started(), ['exe_1']);
      assert.is(agents.depth().queued, 0);
    }),
  );

  test(
    'the highest priority first but for every eighth, sessions in turn, each in its order',
    withAgents(1, async (agents, reports) => {
      const runs = fill(agents);
      const wait = (name: string, session: string, priority: number): void =>
        agents.enqueue(name, place(session), priority);
      for (let n = 1; n <= 4; n++) wait(`exe_a${n}`, 'ses_a', 0);
      wait('exe_b1', 'ses_b', 0);
      wait('exe_b2', 'ses_b', 0);
      wait('exe_c1', 'ses_c', 5);
      wait('exe_a5', 'ses_a', 5);
      wait('exe_d1', 'ses_d', -1);
      reports.onReport = ({ execution, place: where, message }) => {
        if (message.type === 'execution.start') agents.run(runOf(execution, 'no-op'), where);
      };
      for (const run of runs) agents.stop(run, 'cancelled');
      await reports.end('exe_a4');
      const expected = ['exe_c1', 'exe_a5', 'exe_a1', 'exe_b1', 'exe_a2', 'exe_b2', 'exe_a3', 'exe_d1', 'exe_a4'];
      assert.equal(reports.started(), expected);
    }),
  );

  test(
    'waits for what runs when it is closed, and takes nothing more',
    withAgents(2, async (agents, reports) => {
      agents.run(runOf('exe_1', 'slow', { ms: 200 }), place());
      agents.enqueue('exe_2', place(), 0);
      const closed = agents.close(30_000);
      agents.run(runOf('exe_3', 'no-op'), place());
      assert.is(agents.reserve('exe_4'), false);
      await closed;
      assert.is((await reports.end('exe_1')).type, 'execution.complete');
      assert.equal(
        reports.all.filter(({ execution }) => execution === 'exe_3'),
        [],
      );
    }),
  );
};
