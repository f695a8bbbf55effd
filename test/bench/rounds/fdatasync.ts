import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { oneByOne, print, quantile } from '../summary.ts';
import { ACCEPT_BYTES } from '../sizes.ts';

/** The bound of a durable accept: the same bytes appended to a file and synced, nothing else. */
const directory = mkdtempSync(join(tmpdir(), 'arbor-bench-'));
const file = openSync(join(directory, 'log'), 'a');
const bytes = Buffer.alloc(ACCEPT_BYTES, 'x');
const append = async (): Promise<void> => {
  writeSync(file, bytes);
  fdatasyncSync(file);
};
await oneByOne(200, append);
const times = await oneByOne(2_000, append);
print({
  'append and sync, p50 ms': quantile(times, 0.5),
  'append and sync, p99 ms': quantile(times, 0.99),
  'appends, one at a time /s': 1_000 / (times.reduce((sum, time) => sum + time, 0) / times.length),
});
closeSync(file);
rmSync(directory, { recursive: true });
