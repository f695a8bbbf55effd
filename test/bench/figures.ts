/** Figures by name, with the unit behind the last space. */
export type Figures = Readonly<Record<string, number>>;

/** What follows from the figures of different contenders in the same round; left out where one did not run. */
interface Derived {
  readonly name: string;
  /** `contender: figure unit`. */
  readonly of: readonly [string, string];
  readonly is: (a: number, b: number) => number;
}

const share = (part: number, whole: number): number => (100 * part) / whole;

/**
 * `share of the full path over HTTP`: what authority costs one execution (authentication, the decisions of the gateway
 * and of the session's actor, the limit of the principal, charge and release with a full window, the ledger in the two
 * snapshots, and the check of each of its events for one subscriber over MQTT), of the CPU time that the whole server
 * spends on one: (CPU seconds that its process used, all threads together) / executions, which is 1e6 / executions per
 * second × cores in use, in µs. Measured in the round `authority`, by clients whose use is charged.
 */
export const DERIVED: readonly Derived[] = [
  {
    name: 'gate: share of the full path over HTTP %',
    of: ['gate: per execution, client µs', 'authority: limited clients, CPU per execution µs'],
    is: share,
  },
  {
    name: 'gate: share of the full path over HTTP, guest of depth 3 %',
    of: ['gate: per execution, guest of depth 3 µs', 'authority: limited clients, CPU per execution µs'],
    is: share,
  },
  {
    name: 'ring: over BullMQ ×',
    of: ['ring: executions, 256 in flight /s', 'bullmq: jobs, 256 in flight /s'],
    is: (ring, bullmq) => ring / bullmq,
  },
];

/** What a figure has to be. The median of the rounds is held to it, or each of them. */
export interface Bound {
  readonly kind: 'most' | 'least';
  readonly value: number;
  readonly each?: true;
}

/** Contract, section 6, "Revocation". */
const CUT_MS: Bound = { kind: 'most', value: 100, each: true };

/** Megabytes of the whole process while a log of any length is exported. */
const EXPORT_MB: Bound = { kind: 'most', value: 250 };

export const BOUNDS: Readonly<Record<string, Bound>> = {
  'gate: share of the full path over HTTP': { kind: 'most', value: 5 },
  'authority: limited clients over the root key': { kind: 'least', value: 0.95 },
  'ready: after kill -9, max': { kind: 'most', value: 2_000, each: true },
  'sleep: RSS idle': { kind: 'most', value: 1_500 },
  'sleep: register, asleep, p99': { kind: 'most', value: 10 },
  'sleep: accept, asleep, p99': { kind: 'most', value: 10 },
  'frozen: events, p99 over undisturbed': { kind: 'most', value: 2 },
  'frozen: commands, p99 over undisturbed': { kind: 'most', value: 2 },
  'frozen: memory, beside over undisturbed': { kind: 'most', value: 128 },
  'export: json, RSS peak': EXPORT_MB,
  'export: ndjson, RSS peak': EXPORT_MB,
  'export: csv, RSS peak': EXPORT_MB,
  'export: markdown, RSS peak': EXPORT_MB,
  'export: html, RSS peak': EXPORT_MB,
  'revoke: MQTT, max': CUT_MS,
  'revoke: SSE, max': CUT_MS,
  'revoke: long-poll, max': CUT_MS,
  'revoke: MQTT under load, max': CUT_MS,
  'revoke: SSE under load, max': CUT_MS,
  'revoke: long-poll under load, max': CUT_MS,
};
