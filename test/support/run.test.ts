import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { filtersOf, isStrict, limitOf, refusalsOf, runTests, type Totals } from './run.ts';

const test = suite<{ root: string }>('run');

const UVU = import.meta.resolve('uvu');
const PASSING = "test('passes', () => undefined);\ntest.run();";

test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), 'arbor-run-'));
});

test.after.each(({ root }) => rmSync(root, { recursive: true, force: true }));

/** Writes test files, runs them all and answers with what the runner counted and printed. */
const run = async (
  root: string,
  files: Record<string, string>,
  options: { only?: string[]; strict?: boolean; lingerMs?: number } = {},
): Promise<Totals & { printed: string }> => {
  for (const [path, body] of Object.entries(files)) {
    const file = join(root, 'test', path);
    mkdirSync(dirname(file), { recursive: true });
    const limit = /^\/\/ limit.*\n/.exec(body)?.[0] ?? '';
    writeFileSync(file, `${limit}import { suite } from '${UVU}';\nconst test = suite('planted');\n${body}\n`);
  }
  let printed = '';
  const totals = await runTests({
    root,
    only: options.only ?? [],
    strict: options.strict ?? false,
    lingerMs: options.lingerMs ?? 5000,
    print: (text) => {
      printed += text;
    },
  });
  return { ...totals, printed };
};

const counts = ({ passed, failed, skipped }: Totals): number[] => [passed, failed, skipped];

test('adds up its files, each in a process of its own', async ({ root }) => {
  const body = `${PASSING}\nprocess.stdout.write('pid ' + process.pid);`;
  const ended = await run(root, {
    'a.test.ts': body,
    'deep/b.test.ts': body,
    'node_modules/c.test.ts': body,
    'd.ts': body,
  });
  assert.equal(counts(ended), [2, 0, 0]);
  assert.not.match(ended.printed, 'pid');
});

test('prints what a failing file said', async ({ root }) => {
  const body = "test('breaks', () => { throw new Error('planted failure'); });\n" + PASSING;
  const ended = await run(root, { 'a.test.ts': body });
  assert.equal(counts(ended), [1, 1, 0]);
  assert.match(ended.printed, 'planted failure');
});

test('runs only the files whose paths are asked for, and fails if there are none', async ({ root }) => {
  const files = { 'brokers/a.test.ts': PASSING, 'machines/b.test.ts': PASSING };
  assert.equal(counts(await run(root, files, { only: ['brokers'] })), [1, 0, 0]);
  assert.equal(counts(await run(root, files, { only: ['broken'] })), [0, 1, 0]);
});

test('fails a file that runs nothing, and one whose before hook throws', async ({ root }) => {
  const ended = await run(root, {
    'a.test.ts': 'void test;',
    'b.test.ts': `test.before(() => { throw new Error('hook'); });\n${PASSING}`,
    'c.test.ts': `process.exit(0);\n${PASSING}`,
  });
  assert.equal(counts(ended), [0, 3, 0]);
});

test('kills a file and what it started at its limit', async ({ root }) => {
  const pidFile = join(root, 'pid');
  const ended = await run(root, {
    'a.test.ts': `// limit: 1 s
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
test('hangs', () => new Promise(() => {
  writeFileSync(${JSON.stringify(pidFile)}, String(spawn('sleep', ['300'], { stdio: 'inherit' }).pid));
  setTimeout(() => undefined, 60_000);
}));
test.run();`,
  });
  assert.equal(counts(ended), [0, 1, 0]);
  assert.match(ended.printed, 'limit of 1 s');
  assert.not.ok(alive(readFileSync(pidFile, 'utf8')));
});

test('fails a file that does not exit after its tests', async ({ root }) => {
  const ended = await run(root, { 'a.test.ts': `${PASSING}\nsetTimeout(() => undefined, 60_000);` }, { lingerMs: 200 });
  assert.equal(counts(ended), [1, 1, 0]);
  assert.match(ended.printed, 'left something running');
});

test('fails a file that leaves a process behind, names it and ends it', async ({ root }) => {
  const pidFile = join(root, 'pid');
  const body = `import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
test('leaks', () => {
  const child = spawn('sleep', ['300'], { stdio: 'ignore' });
  child.unref();
  writeFileSync(${JSON.stringify(pidFile)}, String(child.pid));
});
test.run();`;
  const ended = await run(root, { 'a.test.ts': body }, { lingerMs: 200 });
  assert.equal(counts(ended), [1, 1, 0]);
  assert.match(ended.printed, /left something running: sleep \(\d+\)/);
  assert.not.ok(alive(readFileSync(pidFile, 'utf8')));
});

test('names a skip, and fails it where nothing may be missing', async ({ root }) => {
  const body = `test('needs redis', () => console.log('# skip redis: not installed'));\n${PASSING}`;
  const lenient = await run(root, { 'a.test.ts': body });
  assert.equal(counts(lenient), [1, 0, 1]);
  assert.match(lenient.printed, 'redis: not installed');
  assert.equal(counts(await run(root, {}, { strict: true })), [1, 1, 0]);
});

test('refuses .only and a suite that is never run, without running the file', async ({ root }) => {
  const marker = join(root, 'ran');
  const write = `import { writeFileSync } from 'node:fs';\nwriteFileSync(${JSON.stringify(marker)}, '');\n`;
  const only = `${write}test.only('one', () => undefined);\n${PASSING}`;
  const forgotten = `${write}const other = suite('other');\nother('x', () => undefined);\n${PASSING}`;
  const ended = await run(root, { 'a.test.ts': only, 'b.test.ts': forgotten });
  assert.equal(counts(ended), [0, 2, 0]);
  assert.not.ok(existsSync(marker));
});

test('does not take a comment or a string for .only', () => {
  assert.equal(refusalsOf("// test.only('x')\nconst a = 'test.only(1)';"), []);
});

test('reads the limit of a file from its first lines', () => {
  assert.is(limitOf("import 'x';\n"), 120_000);
  assert.is(limitOf("// limit: 300 s\nimport 'x';\n"), 300_000);
  assert.is(limitOf(`${'\n'.repeat(9)}// limit: 300 s\n`), 120_000);
});

test('reads the command line and the environment', () => {
  assert.equal(filtersOf(['--only', 'brokers', 'machines/id']), ['brokers', 'machines/id']);
  assert.equal(
    [undefined, '', 'false', '0', 'true', '1'].map((CI) => isStrict({ CI })),
    [false, false, false, false, true, true],
  );
});

/** Whether the process lives; what is only waiting to be reaped does not. */
function alive(pid: string): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test.run();
