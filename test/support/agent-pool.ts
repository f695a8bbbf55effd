import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { AgentLogEntry, AgentPoolOptions } from '../../actors/agent-options.ts';
import { createAgentPool, type AgentPool } from '../../actors/agent-pool.ts';
import { commandModules, createReports, place, runOf, type Reports } from '../contract/agents.ts';

/** A pool on real threads with every command of `test/support/commands`. */
export interface Harness extends Reports {
  readonly pool: AgentPool;
  readonly directory: string;
  readonly logged: AgentLogEntry[];
  run(execution: string, command: string, args?: unknown, start?: number): void;
}

/** A test that gets a pool of its own. */
export const withPool =
  (
    options: Partial<AgentPoolOptions>,
    body: (harness: Harness) => Promise<void>,
    commit: Reports['commit'] = () => Promise.resolve(),
  ) =>
  async (): Promise<void> => {
    const directory = await mkdtemp(join(tmpdir(), 'arbor-agents-'));
    const reports = createReports();
    reports.commit = commit;
    const logged: AgentLogEntry[] = [];
    const pool = createAgentPool({
      modules: commandModules(
        'no-op',
        'slow',
        'spin',
        'crash',
        'fill-heap',
        'talk',
        'write-artifact',
        'about',
        'count',
      ),
      dataDirectory: directory,
      roots: ['/srv/data'],
      report: reports.report,
      onLog: (entry) => void logged.push(entry),
      threads: 2,
      graceMs: 100,
      ...options,
    });
    const run: Harness['run'] = (execution, command, args = {}, start = 1) =>
      pool.run(runOf(execution, command, args, start), place());
    try {
      await pool.ready;
      await body({ ...reports, pool, directory, logged, run });
    } finally {
      await pool.close(0);
      await rm(directory, { recursive: true, force: true });
    }
  };

/** Runs `count` quick ones and waits for all: each ends once, and well. */
export const quickOnes = async ({ run, end }: Harness, name: string, count: number): Promise<void> => {
  for (let n = 0; n < count; n++) run(`exe_${name}${n}`, 'no-op', { value: n });
  for (let n = 0; n < count; n++) assert.is((await end(`exe_${name}${n}`)).type, 'execution.complete');
};

/** The end of an execution that has to fail. */
export const failure = async (harness: Harness, execution: string) => {
  const message = await harness.end(execution);
  if (message.type !== 'execution.fail') return assert.unreachable(`${execution} did not fail`) as never;
  return message;
};
