import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { BOUNDS, DERIVED, type Bound, type Figures } from './figures.ts';
import { summarise, type Summary } from './summary.ts';

/**
 * `npm run bench [-- --rounds N] [--only NAME,NAME]`: every contender runs once a round, each in a process of its own, so
 * that what the machine does meanwhile meets all alike. Medians and spread go to a table and to `bench.json`.
 */
const CONTENDERS = [
  'ring',
  'http',
  'authority',
  'gate',
  'revoke',
  'frozen',
  'webhooks',
  'xstate',
  'fastify',
  'fdatasync',
  'bullmq',
  'ready',
  'sleep',
  'export',
] as const;
/** A million sessions take a quarter of an hour. */
const ROUND_LIMIT_MS = 1_800_000;

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
const collect = (key: string, value: number): void => void collected.set(key, [...(collected.get(key) ?? []), value]);
for (let round = 1; round <= rounds; round++) {
  const measured = new Map<string, number>();
  for (const contender of contenders) {
    process.stderr.write(`round ${round} of ${rounds}: ${contender}          \r`);
    for (const [name, value] of Object.entries(await run(contender))) measured.set(`${contender}: ${name}`, value);
  }
  for (const { name, of, is } of DERIVED) {
    const [a, b] = of.map((each) => measured.get(each));
    if (a !== undefined && b !== undefined) measured.set(name, is(a, b));
  }
  for (const [key, value] of measured) collect(key, value);
}
process.stderr.write(`${' '.repeat(40)}\r`);

const holds = ({ kind, value, each }: Bound, { median, least, most }: Summary): boolean =>
  kind === 'most' ? (each ? most : median) <= value : (each ? least : median) >= value;

const table = new Table({
  head: ['figure', 'median', 'least', 'most', 'unit', 'bound'],
  colAligns: ['left', 'right', 'right', 'right', 'left', 'left'],
  style: { compact: true, head: [], border: [] },
});
const results: Record<string, Summary & { unit: string; bound?: Bound; holds?: boolean }> = {};
const beyond: string[] = [];
for (const [key, values] of collected) {
  const unit = key.slice(key.lastIndexOf(' ') + 1);
  const name = key.slice(0, key.lastIndexOf(' '));
  const summary = summarise(values);
  const bound = BOUNDS[name];
  results[name] = { ...summary, unit, ...(bound === undefined ? {} : { bound, holds: holds(bound, summary) }) };
  if (results[name].holds === false) beyond.push(name);
  const show = (value: number): string => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(2));
  const limit = bound === undefined ? '' : `${bound.kind === 'most' ? '≤' : '≥'} ${bound.value}`;
  table.push([name, show(summary.median), show(summary.least), show(summary.most), unit, limit]);
}
console.log(table.toString());
for (const name of beyond) console.log(`beyond its bound: ${name}`);

const machine = {
  node: process.version,
  cores: availableParallelism(),
  cpu: cpus()[0]?.model,
  memory_gib: Math.round(totalmem() / 2 ** 30),
};
await writeFile(
  'bench.json',
  `${JSON.stringify({ at: new Date().toISOString(), rounds, machine, results }, null, 2)}\n`,
);
console.log('written to bench.json');
