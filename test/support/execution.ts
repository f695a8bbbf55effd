import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAgentPool, type AgentPool } from '../../actors/agent-pool.ts';
import type { Effect } from '../../machines/effect.ts';
import { execution, type ExecutionContext } from '../../machines/execution.ts';
import { commandModules, place, until } from '../contract/agents.ts';
import { facts } from './session.ts';
import { createDriver } from './machine.ts';

const EXECUTION = 'exe_1';

/** One execution with its real machine on a real pool: what stands between them in the server is left out. */
export interface TestExecution {
  readonly pool: AgentPool;
  readonly events: { readonly event: string; readonly data: Record<string, unknown>; readonly at: number }[];
  readonly context: () => ExecutionContext;
  readonly state: () => string;
  accept(args: object, more?: object): void;
  take(message: { readonly type: string }): void;
  /** Waits until it is in this state. */
  is(state: string): Promise<void>;
  /** What was written to the file that `accept` names. */
  lines(): Promise<string[]>;
  /** Reports are taken at once, but become durable when this says so. */
  commit: () => Promise<void>;
}

/** A test that gets an execution of the command `steps`. */
export const withExecution = (body: (one: TestExecution) => Promise<void>) => async (): Promise<void> => {
  const directory = await mkdtemp(join(tmpdir(), 'arbor-execution-'));
  const path = join(directory, 'lines');
  const driver = createDriver<ExecutionContext>(execution);
  let timer: NodeJS.Timeout | undefined;
  let busy = false;
  const waiting: { readonly type: string }[] = [];

  const perform = (effect: Effect): void => {
    if (effect.type === 'event') one.events.push({ event: effect.event, data: effect.data, at: Date.now() });
    if (effect.type === 'enqueue') pool.enqueue(EXECUTION, place(), 0);
    if (effect.type === 'run') pool.run(effect.run, place());
    if (effect.type === 'stop') pool.stop(EXECUTION, effect.reason);
  };
  const take = (message: { readonly type: string }): void => {
    waiting.push(message);
    if (busy) return;
    busy = true;
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (driver.done()) continue;
      const effects = driver.take({ ...next, at: Date.now(), random: 0.5 } as { type: string });
      driver.restore();
      for (const effect of effects) perform(effect);
    }
    busy = false;
    clearTimeout(timer);
    const { deadline } = driver.standing().context;
    if (deadline !== null) timer = setTimeout(take, Math.max(1, deadline - Date.now()), { type: 'deadline' });
  };
  const pool = createAgentPool({
    modules: commandModules('steps', 'no-op'),
    dataDirectory: directory,
    threads: 1,
    graceMs: 100,
    report: (id, _, message) => {
      if (id === EXECUTION) take(message);
      return { committed: one.commit() };
    },
  });
  const one: TestExecution = {
    pool,
    events: [],
    context: () => driver.standing().context,
    state: () => driver.standing().value,
    accept: (args, more = {}) =>
      take({
        type: 'execution.accept',
        session_id: 'ses_a',
        execution_id: EXECUTION,
        command: { ...facts(), name: 'steps', backoff: { base_ms: 1, cap_ms: 1 } },
        args: { path, ...args },
        caller: { principal: 'ada', client_id: null },
        capability_id: 'cap_1',
        charged: [],
        timeout_ms: 60_000,
        priority: 0,
        reserved: true,
        idempotency_key: null,
        ...more,
      } as { type: string }),
    take,
    is: (state) => until(() => driver.standing().value === state, `${state}, and not ${driver.standing().value}`),
    lines: async () => (await readFile(path, 'utf8').catch(() => '')).split('\n').filter((text) => text !== ''),
    commit: () => Promise.resolve(),
  };
  try {
    await pool.ready;
    await body(one);
  } finally {
    clearTimeout(timer);
    await pool.close(0);
    await rm(directory, { recursive: true, force: true });
  }
};
