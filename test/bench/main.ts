import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { summarise, type Summary } from './summary.ts';

/**
 * `npm run bench [-- --rounds N]`: every contender runs once a round, each in a process of its own, so that what the
 * machine does meanwhile meets all alike. Medians and spread go to a table and to `bench.json`.
 */
const CONTENDERS = ['ring', 'http', 'xstate', 'fastify', 'fdatasync', 'bullmq', 'ready'] as const;
const ROUND_LIMIT_MS = 120_000;

/** What a contender prints: figures by name, `unit` behind the last dot. */
export type Figures = Readonly<Record<string, number>>;

const rounds = Number(process.argv[process.argv.indexOf('--rounds') + 1]) || 5;
const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1]?.split(',') : undefined;
const contenders = CONTENDERS.filter((name) => only === undefined || only.includes(name));

const run = (contender: string): Promise<Figures> =>
  new Promise((resolve, reject) => {
    const file = fileURLToPath(new URL(`./rounds/${contender}.ts`, import.meta.url));
    const child = spawn(process.execPath, ['--no-warnings', file], { stdio: ['ignore', 'pipe', 'inherit'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), ROUND_LIMIT_MS);
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.on('close', (code) => {
      clearTimeout(timer);
      const last = out.trim().split('\n').at(-1) ?? '';
      if (code === 0) resolve(JSON.parse(last) as Figures);
      else reject(new Error(`${contender} ended with ${code}`));
    });
  });

const collected = new Map<string, number[]>();
for (let round = 1; round <= rounds; round++) {
  for (const contender of contenders) {
    process.stderr.write(`round ${round} of ${rounds}: ${contender}          \r`);
    const figures = await run(contender);
    for (const [name, value] of Object.entries(figures)) {
      const key = `${contender}: ${name}`;
      collected.set(key, [...(collected.get(key) ?? []), value]);
    }
  }
}
process.stderr.write(`${' '.repeat(40)}\r`);

const table = new Table({
  head: ['figure', 'median', 'least', 'most', 'unit'],
  colAligns: ['left', 'right', 'right', 'right', 'left'],
});
const results: Record<string, Summary & { unit: string }> = {};
for (const [key, values] of collected) {
  const unit = key.slice(key.lastIndexOf(' ') + 1);
  const name = key.slice(0, key.lastIndexOf(' '));
  const summary = summarise(values);
  results[name] = { ...summary, unit };
  const show = (value: number): string => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(2));
  table.push([name, show(summary.median), show(summary.least), show(summary.most), unit]);
}
console.log(table.toString());

const ratio = (a: string, b: string): number | null =>
  results[a] === undefined || results[b] === undefined ? null : results[a].median / results[b].median;
const overPeer = ratio('ring: executions, 256 in flight', 'bullmq: jobs, 256 in flight');
if (overPeer !== null) console.log(`ring over BullMQ: ${overPeer.toFixed(2)} ×`);
const machine = {
  node: process.version,
  cores: availableParallelism(),
  cpu: cpus()[0]?.model,
  memory_gib: Math.round(totalmem() / 2 ** 30),
};
await writeFile(
  'bench.json',
  `${JSON.stringify({ at: new Date().toISOString(), rounds, machine, ring_over_bullmq: overPeer, results }, null, 2)}\n`,
);
console.log('written to bench.json');
