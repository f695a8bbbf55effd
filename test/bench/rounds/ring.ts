import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAgentPool } from '../../../actors/agent-pool.ts';
import { createRing } from '../../../actors/ring.ts';
import { createEmbeddedBroker } from '../../../brokers/embedded.ts';
import { openPolicy } from '../../../brokers/access.ts';
import { sessionAddress } from '../../../machines/address.ts';
import type { ExecutionId } from '../../../machines/id.ts';
import { isTerminalEvent } from '../../../machines/event.ts';
import type { SessionMessage } from '../../../machines/message.ts';
import noop from '../commands/noop.ts';
import { ROOMY_GRANTS } from '../grants.ts';
import { IN_FLIGHT, oneByOne, print, quantile, saturate } from '../summary.ts';

/** The ring without HTTP: accepted, run on the agent pool and ended, all durable; then single accepts, one at a time. */
const EXECUTIONS = 20_000;
const SESSIONS = 16;
const WORKERS = Number(process.env.ARBOR_SHARD_WORKERS ?? 2);
const THREADS = Number(process.env.ARBOR_AGENT_THREADS ?? 2);

const directory = await mkdtemp(join(tmpdir(), 'arbor-bench-'));
const bus = await createEmbeddedBroker({ policy: openPolicy });
const ring = await createRing({
  bus,
  directory,
  workers: WORKERS,
  agents: (report) =>
    createAgentPool({
      threads: THREADS,
      modules: [new URL('../commands/noop.ts', import.meta.url).href],
      roots: [],
      dataDirectory: directory,
      report,
      onLog: () => {},
    }),
});

const waiting = new Map<string, () => void>();
ring.onEvent(({ type, subject }) => {
  if (!isTerminalEvent(type)) return;
  waiting.get(subject)?.();
  waiting.delete(subject);
});

const principal = 'bench';
const open = async () => {
  const session_id = ring.newId('session');
  const client_id = ring.newId('client');
  const root_capability_id = ring.newId('capability');
  const capabilities = ROOMY_GRANTS.cli.map((grant) => ({
    ...grant,
    id: ring.newId('capability'),
    principal,
    session_id,
    parent_id: root_capability_id,
    depth: 1,
    issued_at: new Date(ring.now()).toISOString(),
  }));
  const message: SessionMessage = {
    type: 'session.open',
    session_id,
    owner: principal,
    ttl_ms: 86_400_000,
    root_capability_id,
    client: { client_id, type: 'cli', name: null, principal, token_hash: '0'.repeat(64), capabilities },
  };
  const answer = await ring.ask({ to: sessionAddress(session_id), fresh: true, message });
  if (!answer.ok) throw new Error(answer.problem.detail);
  return { session_id, client_id };
};
const sessions = await Promise.all(Array.from({ length: SESSIONS }, open));

const accept = async (lane: number, execution_id: ExecutionId): Promise<void> => {
  const { session_id, client_id } = sessions[lane % SESSIONS] as (typeof sessions)[number];
  const message: SessionMessage = {
    type: 'session.execute',
    caller: { principal, client_id },
    execution_id,
    command: noop.facts,
    args: {},
    timeout_ms: 60_000,
    priority: 0,
    reserved: ring.agents.reserve(execution_id),
    unattended: false,
    idempotency: null,
  };
  const answer = await ring.ask({ to: sessionAddress(session_id), message });
  if (!answer.ok) throw new Error(answer.problem.detail);
};
const execute = async (lane: number): Promise<void> => {
  const execution_id = ring.newId('execution');
  const ended = new Promise<void>((resolve) => waiting.set(execution_id, resolve));
  await accept(lane, execution_id);
  await ended;
};

await saturate(4_000, IN_FLIGHT, execute);
const seconds = await saturate(EXECUTIONS, IN_FLIGHT, execute);
await new Promise((resolve) => setTimeout(resolve, 500));
let lane = 0;
const single = (): Promise<void> => accept((lane += 1), ring.newId('execution'));
await oneByOne(200, single);
const accepts = await oneByOne(1_500, single);
print({
  'executions, 256 in flight /s': EXECUTIONS / seconds,
  'durable accept, p50 ms': quantile(accepts, 0.5),
  'durable accept, p99 ms': quantile(accepts, 0.99),
});
await ring.close(5_000);
await bus.close();
await rm(directory, { recursive: true, force: true });
process.exit(0);
