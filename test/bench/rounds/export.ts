import { readFileSync, writeFileSync } from 'node:fs';
import { createSqliteJournal } from '../../../actors/journal-sqlite.ts';
import { shardOf } from '../../../actors/placement.ts';
import { encodeTurn } from '../../../actors/turn-record.ts';
import type { Event, EventType } from '../../../machines/event.ts';
import { EXPORT_FORMATS } from '../../../src/operations/export-formats.ts';
import { applyAll } from '../../contract/journal-turns.ts';
import { eventually, type ServerProcess } from '../../support/server.ts';
import { residentMb } from '../load.ts';
import { asked, serve } from '../serve.ts';
import { print } from '../summary.ts';

/**
 * Exports a session of so many events (`--events N` or `ARBOR_BENCH_EVENTS`; 100,000 unless said otherwise, 1,000,000
 * for the figure of the contract) in every format, one after the other on one server: events a second, the size, and the
 * peak of what the whole process has resident meanwhile, also above what it had before the first.
 *
 * The events are those of commands that run for a while: eight each, with progress and output.
 */
const flag = process.argv.indexOf('--events');
const EVENTS = Number(flag < 0 ? process.env['ARBOR_BENCH_EVENTS'] : process.argv[flag + 1]) || 100_000;
const LIFE_MS = 3_600_000;
const EXPORT_MS = 900_000;
const TURN = 400;

/** The peak of resident memory in MiB since it was last forgotten (proc(5), `VmHWM` and `clear_refs`). */
const peakMb = ({ child: { pid } }: ServerProcess): number =>
  Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
const forgetPeak = ({ child: { pid } }: ServerProcess): void => writeFileSync(`/proc/${pid}/clear_refs`, '5');

const { workspace, server: first, again } = await serve([], {}, LIFE_MS);
const { session_id: session, client_id: client } = await first.open();
const [opened] = await first.events(session);
const { seq: before } = await asked(first, 'GET', `/v1/sessions/${session}`);
await first.stop();

const pad = (n: number): string => String(n).padStart(26, '0');
const LINE = 'compiling src/some/module.ts: 3 warnings, 0 errors; see the report for what they are about\n';
/** What the nth event says: eight to an execution. */
const say = (n: number): readonly [EventType, Record<string, unknown>] => {
  const execution_id = `exe_${pad(Math.floor(n / 8))}`;
  const step = n % 8;
  const started_by = { principal: 'operator', client_id: client };
  if (step === 0)
    return ['execution_queued', { execution_id, command: 'build', priority: 0, timeout_ms: 1_800_000, started_by }];
  if (step === 1) return ['execution_started', { execution_id, attempt: 1 }];
  if (step === 7)
    return ['execution_completed', { execution_id, result: { files: n }, artifacts: [], duration_ms: n % 9_000 }];
  if (step % 2 === 0) return ['execution_output', { execution_id, stream: 'stdout', chunk: LINE.repeat(2) }];
  const metadata = { files_done: n % 500, files_total: 500 };
  return ['execution_progress', { execution_id, progress: step * 14, message: `${n % 500} of 500 files`, metadata }];
};

const journal = await createSqliteJournal({ directory: first.data });
const shard = shardOf(session);
const [claim] = await journal.claim([shard]);
if (claim === undefined || opened === undefined) throw new Error('the shard was not claimed');
for (let n = 0, turn = claim.turn + 1; n < EVENTS; n += TURN, turn++) {
  const at = Date.now();
  const events = Array.from({ length: Math.min(TURN, EVENTS - n) }, (_, index): Event => {
    const [type, data] = say(n + index);
    const seq = before + 1 + n + index;
    return { ...opened, id: `evt_${pad(seq)}`, seq, type, timestamp: new Date(at).toISOString(), data };
  });
  const head = {
    shard,
    epoch: claim.epoch,
    turn,
    at,
    read: {},
    snapshots: [],
    events: events.map(({ seq, type, data }) => [session, seq, type, data['execution_id'] as string] as const),
    out: [],
    remembered: [],
  };
  const texts = events.map((event) => JSON.stringify(event));
  const text = encodeTurn({ head, contexts: [], events: texts, out: [], remembered: [] });
  const [verdict] = await journal.commit([{ shard, epoch: claim.epoch, turn, text }]);
  if (verdict !== 'committed') throw new Error(`turn ${turn} is ${verdict}`);
  await applyAll(journal);
}
await journal.close();

const { server } = await again();
const ready = residentMb(server);
const figures: Record<string, number> = { 'events n': EVENTS, 'RSS, ready MB': ready };
for (const format of EXPORT_FORMATS) {
  forgetPeak(server);
  const started = performance.now();
  const path = `/v1/sessions/${session}/exports`;
  const { execution_id } = await asked(server, 'POST', path, {
    body: { format },
    headers: { prefer: 'respond-async' },
  });
  let ended: Awaited<ReturnType<typeof asked>> = null;
  await eventually(
    `the export as ${format}`,
    async () => {
      ended = await asked(server, 'GET', `/v1/executions/${execution_id}?wait=60`);
      return ended.ended_at !== null;
    },
    EXPORT_MS,
  );
  const { status, result, error } = ended;
  if (status !== 'completed') throw new Error(`${format}: ${JSON.stringify(error)}`);
  figures[`${format} /s`] = result.events / ((performance.now() - started) / 1_000);
  figures[`${format}, size MB`] = result.bytes / 1024 ** 2;
  figures[`${format}, RSS peak MB`] = peakMb(server);
  figures[`${format}, RSS peak over ready MB`] = peakMb(server) - ready;
}
print(figures);
await workspace[Symbol.asyncDispose]();
process.exit(0);
