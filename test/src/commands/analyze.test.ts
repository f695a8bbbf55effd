import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { HandlerContext } from '../../../machines/command.ts';
import { ProblemError, type Problem } from '../../../machines/error.ts';
import type { AnalyzeResult } from '../../../src/commands/analyze/result.ts';
import analyze from '../../../src/commands/analyze.ts';

interface Run {
  readonly result: AnalyzeResult;
  readonly progress: readonly (readonly [number, string | undefined])[];
  readonly output: string;
  readonly report: string;
}

interface RunOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: number) => void;
}

const run = async (path: string | undefined, roots: readonly string[], options: RunOptions = {}): Promise<Run> => {
  const progress: [number, string | undefined][] = [];
  let output = '';
  let report = '';
  const context = {
    args: analyze.args.parse(path === undefined ? {} : { path }),
    roots,
    signal: options.signal ?? new AbortController().signal,
    progress: (value: number, message?: string) => {
      progress.push([value, message]);
      options.onProgress?.(value);
    },
    output: async (chunk: string) => void (output += chunk),
    artifact: async (name: string, content: string) => {
      assert.is(name, 'report.md');
      report = content;
    },
  };
  const result = analyze.result.parse(await analyze.run(context as unknown as HandlerContext<never>)) as AnalyzeResult;
  return { result, progress, output, report };
};

const problemOf = async (path: string, roots: readonly string[]): Promise<Problem> => {
  try {
    await run(path, roots);
  } catch (error) {
    if (error instanceof ProblemError) return error.problem;
    throw error;
  }
  throw new Error(`${path} was not refused`);
};

const base = mkdtempSync(join(tmpdir(), 'arbor-analyze-'));
const root = join(base, 'root');
const outside = join(base, 'outside');
const isRoot = process.getuid?.() === 0;

const put = (path: string, content: string | Uint8Array): void => {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), content);
};

const test = suite('analyze');

test.before(() => {
  mkdirSync(outside, { recursive: true });
  writeFileSync(join(outside, 'secret.ts'), 'const secret = 1;\n');
  put('.gitignore', 'ignored/\n*.tmp\n');
  put('ignored/a.ts', 'const a = 1;\n');
  put('b.tmp', 'x');
  put('src/a.ts', '// one\n\nexport const f = () => {\n  /* two\n\n  */\n  return 1;\n};\n');
  put('src/crlf.py', 'def g():\r\n    # one\r\n\r\n    return 1\r\n');
  put('src/empty.ts', '');
  put('src/bom.js', '\uFEFF// one\nf();');
  put('src/|odd`\n*.c', 'int main(void) { return 0; }\n');
  put('data.bin', new Uint8Array([1, 2, 0, 3]));
  put('notes', 'text\n');
  put('huge.ts', '// huge\n');
  truncateSync(join(root, 'huge.ts'), 0);
  writeFileSync(join(root, 'huge.ts'), `${'x'.repeat(79)}\n`.repeat(120_000));
  symlinkSync('..', join(root, 'src/loop'));
  symlinkSync(outside, join(root, 'out'));
  symlinkSync('src', join(root, 'inner'));
  symlinkSync('nowhere', join(root, 'dangling'));
  execFileSync('mkfifo', [join(root, 'pipe')]);
  if (!isRoot) {
    put('locked/a.ts', 'x');
    chmodSync(join(root, 'locked'), 0);
  }
  // A name that is no UTF-8 cannot be opened by its text.
  writeFileSync(Buffer.concat([Buffer.from(join(root, 'src/')), Buffer.from([0xff]), Buffer.from('.ts')]), 'x');
});

test.after(() => {
  if (!isRoot) chmodSync(join(root, 'locked'), 0o700);
  rmSync(base, { recursive: true, force: true });
});

test('counts files, bytes, lines and languages', async () => {
  const { result } = await run(undefined, [root]);
  assert.is(result.path, '.');
  assert.equal(
    result.languages.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    [
      { name: 'C', files: 1, code: 1, comment: 0, blank: 0 },
      { name: 'JavaScript', files: 1, code: 1, comment: 1, blank: 0 },
      { name: 'Python', files: 1, code: 2, comment: 1, blank: 1 },
      { name: 'TypeScript', files: 2, code: 3, comment: 3, blank: 2 },
    ],
  );
  assert.equal(result.lines, { code: 7, comment: 5, blank: 3 });
  // .gitignore, data.bin, huge.ts, notes and five sources.
  assert.is(result.files, 9);
  const paths = [
    '.gitignore',
    'data.bin',
    'huge.ts',
    'notes',
    'src/a.ts',
    'src/crlf.py',
    'src/empty.ts',
    'src/bom.js',
    'src/|odd`\n*.c',
  ];
  assert.is(
    result.bytes,
    paths.reduce((sum, path) => sum + readFileSync(join(root, path)).length, 0),
  );
  assert.equal(result.largest_files[0], { path: 'huge.ts', bytes: 9_600_000 });
  assert.equal(
    result.largest_functions.map(({ name, path, line, lines }) => `${name} ${path}:${line} ${lines}`),
    ['f src/a.ts:3 6', 'g src/crlf.py:1 4', 'main src/|odd`\n*.c:1 1'],
  );
});

test('says what it left out and why', async () => {
  const { result } = await run('.', [root]);
  const skipped = Object.fromEntries(result.skipped.map(({ reason, count, paths }) => [reason, [count, paths]]));
  assert.equal(skipped['symlink']?.[0], 4);
  assert.equal(skipped['special'], [1, ['pipe']]);
  assert.equal(skipped['too_large'], [1, ['huge.ts']]);
  assert.equal(skipped['binary'], [1, ['data.bin']]);
  assert.equal(skipped['unknown_language'], [2, ['.gitignore', 'notes']]);
  assert.is(skipped['unreadable']?.[0], isRoot ? 1 : 2);
});

test('tells its progress, which never falls, with words', async () => {
  const { progress, output } = await run('.', [root]);
  const values = progress.map(([value]) => value);
  assert.equal(
    values,
    values.toSorted((a, b) => a - b),
  );
  assert.is(values[0], 0);
  assert.is(values.at(-1), 100);
  assert.ok(values.filter((value) => value > 5 && value < 99).length >= 5);
  assert.ok(progress.every(([, message]) => message !== undefined && message !== ''));
  assert.match(output, /9 files/);
  assert.match(output, /7 lines of code, 5 of comment, 3 blank/);
});

test('writes a report whose tables no file name can break', async () => {
  const { report } = await run('.', [root]);
  assert.match(report, '| TypeScript | 2 | 3 | 3 | 2 |');
  assert.match(report, '| huge.ts | 9,600,000 |');
  assert.match(report, '| main | src/\\|odd\\` \\*.c | 1 | 1 |');
  assert.match(report, '| binary | 1 | data.bin |');
});

test('takes a directory below, an absolute path, a link inside, a single file, and any of several roots', async () => {
  const inSrc = (await run('src', [root])).result;
  assert.is(inSrc.languages.find(({ name }) => name === 'TypeScript')?.files, 2);
  const same = async (path: string, roots: readonly string[] = [root]): Promise<void> =>
    assert.equal((await run(path, roots)).result.lines, inSrc.lines, path);
  await same(join(root, 'src'));
  await same('inner');
  await same('src/../src/.');
  await same(join(root, 'src'), [outside, root]);
  const { result } = await run('src/a.ts', [root]);
  assert.equal([result.files, result.lines], [1, { code: 3, comment: 3, blank: 2 }]);
  assert.is(result.largest_files[0]?.path, 'a.ts');
});

test('refuses what is outside the roots, however it is reached, and names the field', async () => {
  const roots = [root];
  for (const path of [
    '..',
    '../outside',
    outside,
    '/',
    '/etc/passwd',
    'src/../..',
    'out',
    'out/secret.ts',
    'src/loop/out',
    `${root}x`,
  ]) {
    const problem = await problemOf(path, roots);
    assert.is(problem.code, 'path_refused', path);
    assert.equal(
      problem.errors?.map(({ field }) => field),
      ['args.path'],
    );
    assert.not.match(JSON.stringify(problem), base);
  }
  assert.is((await problemOf('.', [])).code, 'path_refused');
});

test('does not tell whether something is there outside', async () => {
  assert.equal(await problemOf('../absent', [root]), await problemOf('../outside', [root]));
  assert.equal(await problemOf('out/absent', [root]), await problemOf('out/secret.ts', [root]));
  assert.is((await problemOf('dangling', [root])).code, 'path_refused');
});

test('says that a path inside is not there', async () => {
  for (const path of ['absent', 'absent/deeper', 'src/a.ts/x', 'pipe'])
    assert.is((await problemOf(path, [root])).code, 'not_found', path);
});

test('a root may itself be a link', async () => {
  const link = join(base, 'link');
  symlinkSync(root, link);
  assert.is((await run('src/a.ts', [link])).result.files, 1);
  assert.is((await run(join(link, 'src/a.ts'), [link])).result.files, 1);
});

test('checks its arguments', () => {
  assert.equal(analyze.args.parse({}), { path: '.' });
  for (const args of [{ path: '' }, { path: 1 }, { path: 'a\0b' }, { path: 'a'.repeat(5000) }, { paths: '.' }])
    assert.is(analyze.args.safeParse(args).success, false, JSON.stringify(args));
});

test('ends with the reason of the signal, before and during the work', async () => {
  const reason = new Error('cancelled');
  const aborted = new AbortController();
  aborted.abort(reason);
  const caught = async (options: RunOptions): Promise<unknown> => {
    try {
      await run('.', [root], options);
    } catch (error) {
      return error;
    }
    return null;
  };
  assert.is(await caught({ signal: aborted.signal }), reason);
  for (const at of [0, 5, 10]) {
    const later = new AbortController();
    const seen: number[] = [];
    const onProgress = (value: number): void => {
      seen.push(value);
      if (value >= at) later.abort(reason);
    };
    assert.is(await caught({ signal: later.signal, onProgress }), reason, `at ${at} %`);
    assert.ok(Math.max(...seen) < 99);
  }
});

test('ends in the middle of a directory', async () => {
  const flat = join(base, 'flat');
  mkdirSync(flat);
  for (let i = 0; i < 50; i++) writeFileSync(join(flat, `${i}.ts`), 'x\n');
  const reason = new Error('cancelled');
  const later = new AbortController();
  let caught: unknown = null;
  const onProgress = (value: number): void => {
    if (value >= 20) later.abort(reason);
  };
  await run('.', [flat], { signal: later.signal, onProgress }).catch((error: unknown) => (caught = error));
  assert.is(caught, reason);
});

test('the result stays below the inline bound whatever the names', async () => {
  const many = join(base, 'many');
  const deep = join(many, '漢'.repeat(80), '漢'.repeat(80));
  mkdirSync(deep, { recursive: true });
  const extensions =
    'ts js py go rs c cpp cs java kt scala swift dart zig php rb pl sh ps1 lua r ex erl hs ml clj sql html xml vue svelte css scss less json yml toml ini md'.split(
      ' ',
    );
  for (const [i, extension] of extensions.entries()) {
    const name = `${'\u0001漢"'.repeat(20)}${i}`.slice(0, 70);
    const body = extension === 'ts' ? `function ${'ß'.repeat(500)}() {\n}\n`.repeat(20) : 'x\n';
    writeFileSync(join(deep, `${name}.${extension}`), body);
    symlinkSync('a', join(deep, `${name}.link`));
    writeFileSync(join(deep, `${name}.unknown`), 'x');
    writeFileSync(join(deep, `${name}.bin`), '\0');
  }
  const { result } = await run('.', [many]);
  assert.ok(Buffer.byteLength(JSON.stringify(result)) < 16 * 1024);
  assert.is(result.languages.length, 30);
  assert.is(result.languages.at(-1)?.name, 'Other');
  assert.is(
    result.languages.reduce((sum, { code }) => sum + code, 0),
    result.lines.code,
  );
  assert.is(result.largest_files.length, 10);
  assert.is(result.largest_functions.length, 10);
  assert.ok(result.largest_functions.every(({ name }) => name.endsWith('ß')));
});

test("counts this repository's machines as a plain count does", async () => {
  const repository = resolve(import.meta.dirname, '../../..');
  const paths = globSync('machines/**/*', { cwd: repository, withFileTypes: true }).filter((entry) => entry.isFile());
  const texts = paths.map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'));
  const { result } = await run('machines', [repository]);
  assert.is(result.files, paths.length);
  assert.is(
    result.bytes,
    texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0),
  );
  const { code, comment, blank } = result.lines;
  assert.is(
    code + comment + blank,
    texts.reduce((sum, text) => sum + text.split('\n').length - 1, 0),
  );
  assert.is(
    blank,
    texts.reduce(
      (sum, text) =>
        sum +
        text
          .split('\n')
          .slice(0, -1)
          .filter((line) => line.trim() === '').length,
      0,
    ),
  );
  // In machines/ no literal begins a line with what opens a comment.
  const starts = /^\s*(?:\/\/|\/\*|\*[ /]|\*$)/;
  assert.is(
    comment,
    texts.reduce((sum, text) => sum + text.split('\n').filter((line) => starts.test(line)).length, 0),
  );
});

test.run();
