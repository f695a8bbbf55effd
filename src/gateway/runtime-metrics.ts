import { Counter, Gauge, Histogram, collectDefaultMetrics, type Registry } from 'prom-client';
import type { Agents } from '../../actors/agents.ts';
import type { Observer } from '../../actors/observer.ts';
import type { Log } from './log.ts';

/** The runtime's figures and troubles: to `/metrics` and to the log. Event-loop delay comes with the defaults. */
export const createObserver = (register: Registry, log: Log): Observer => {
  const registers = [register];
  collectDefaultMetrics({ register });
  const turn = new Histogram({
    name: 'arbor_turn_seconds',
    help: 'Time a shard took for a turn, without its commit',
    buckets: [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05],
    registers,
  });
  const inputs = new Histogram({
    name: 'arbor_turn_inputs',
    help: 'Messages taken in a turn',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers,
  });
  const commit = new Histogram({
    name: 'arbor_commit_seconds',
    help: 'Time of a group commit, its fsync included',
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1],
    registers,
  });
  const batch = new Histogram({
    name: 'arbor_commit_turns',
    help: 'Turns in a group commit',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    registers,
  });
  const logged = new Counter({ name: 'arbor_log_characters_total', help: 'Characters appended to the log', registers });
  const restarts = new Counter({
    name: 'arbor_restarts_total',
    help: 'Restarts of what is supervised',
    labelNames: ['what'],
    registers,
  });
  const failures = new Counter({
    name: 'arbor_given_up_total',
    help: 'What was restarted too often and given up',
    labelNames: ['what'],
    registers,
  });
  const sessions = new Gauge({
    name: 'arbor_resident_sessions',
    help: 'Sessions in the memory of a shard worker',
    labelNames: ['worker'],
    registers,
  });
  const actors = new Gauge({
    name: 'arbor_resident_actors',
    help: 'Actors in the memory of a shard worker',
    labelNames: ['worker'],
    registers,
  });
  const writable = new Gauge({ name: 'arbor_store_writable', help: '1 while the store takes writes', registers });
  writable.set(1);
  const removed = new Counter({
    name: 'arbor_pruned_total',
    help: 'What retention has removed',
    labelNames: ['what'],
    registers,
  });
  return {
    turn: (tookMs, count) => {
      turn.observe(tookMs / 1_000);
      inputs.observe(count);
    },
    commit: (tookMs, turns, size) => {
      commit.observe(tookMs / 1_000);
      batch.observe(turns);
      logged.inc(size);
    },
    restarted: (what, reason) => {
      restarts.inc({ what });
      log.warn({ what, reason }, 'restarted');
    },
    failed: (what, reason) => {
      failures.inc({ what });
      log.error({ what, reason }, 'given up');
    },
    resident: (worker, residentSessions, residentActors) => {
      sessions.set({ worker }, residentSessions);
      actors.set({ worker }, residentActors);
    },
    store: (state, detail) => {
      writable.set(state === 'recovered' ? 1 : 0);
      if (state === 'failed') log.error({ detail }, 'the store takes no writes');
      else log.info('the store takes writes again');
    },
    cut: (detail) => log.warn({ detail }, 'the torn end of the log was cut'),
    clockBehind: (ms) =>
      log.warn({ seconds: Math.round(ms / 1_000) }, 'the clock of the machine is behind what was recorded before'),
    pruned: (counts) => {
      for (const [what, count] of Object.entries(counts)) removed.inc({ what }, count);
    },
    error: (what, error) => log.error({ err: error }, what),
  };
};

/** Depths of the queues, read when the metrics are collected. */
export const observeQueues = (register: Registry, agents: Agents): void => {
  new Gauge({
    name: 'arbor_executions',
    help: 'Executions that wait for a place, hold one, or run',
    labelNames: ['state'],
    registers: [register],
    collect() {
      for (const [state, count] of Object.entries(agents.depth())) this.set({ state }, count);
    },
  });
};
