import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Agents, Report } from '../../actors/agents.ts';
import { createRing, type Ring, type RingOptions } from '../../actors/ring.ts';
import { shardOf } from '../../actors/placement.ts';
import { createMemoryBus } from '../../brokers/memory.ts';
import type { Answer } from '../../machines/effect.ts';
import type { Envelope } from '../../machines/message.ts';
import { counterAddress, type CounterMessage } from './machines.ts';

/** Agents that complete every run at once, without threads. */
export const instantAgents = (report: Report): Agents => ({
  reserve: () => true,
  release: () => {},
  enqueue: (execution, place) => void report(execution, place, { type: 'execution.start' }),
  run: ({ execution_id, start, attempt }, place) =>
    void report(execution_id, place, { type: 'execution.complete', start, result: { attempt }, artifacts: [] }),
  stop: () => {},
  has: () => false,
  depth: () => ({ queued: 0, reserved: 0, running: 0 }),
  close: async () => {},
});

/** A place for a journal; `remove` takes it away. */
export const temporaryDirectory = async (): Promise<{ directory: string; remove: () => Promise<void> }> => {
  const directory = await mkdtemp(join(tmpdir(), 'arbor-test-'));
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) };
};

/** A real ring on real threads over the in-memory bus, with the counters' catalogue. */
export const startRing = (directory: string, options: Partial<RingOptions> = {}): Promise<Ring> =>
  createRing({
    bus: createMemoryBus(),
    directory,
    workers: 1,
    agents: instantAgents,
    catalogue: new URL('./machines.ts', import.meta.url).href,
    ...options,
  });

/** Asks a counter. */
export const askCounter = (
  ring: Ring,
  session: string,
  message: CounterMessage,
  more: Partial<Envelope> = {},
  deadlineMs = 20_000,
): Promise<Answer> => ring.ask({ to: counterAddress(session), message, ...more }, deadlineMs);

/** A session's id, with its counter open; on another shard than `apart` where given. */
export const openCounter = async (ring: Ring, apart: readonly string[] = []): Promise<string> => {
  const taken = new Set(apart.map(shardOf));
  let session = ring.newId('session');
  while (taken.has(shardOf(session))) session = ring.newId('session');
  const answer = await askCounter(ring, session, { type: 'open' }, { fresh: true });
  if (!answer.ok) throw new Error(answer.problem.detail);
  return session;
};

/** All events of a session, over as many pages as it takes. */
export const eventsOf = async (
  ring: Ring,
  session: string,
): Promise<{ seq: number; type: string; data: Record<string, unknown> }[]> => {
  const events: string[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const page = await ring.reads.events(session as never, { after, limit: 1_000 });
    events.push(...page.events);
    after = page.next;
  }
  return events.map((json) => JSON.parse(json));
};

/** Waits for a condition, at most `deadlineMs`. */
export const until = async (
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 20_000,
): Promise<void> => {
  for (const end = Date.now() + deadlineMs; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
