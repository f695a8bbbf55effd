import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifactPath, checkArtifactName, removeUnfinished, writeArtifact } from '../../actors/artifacts.ts';
import type { ArtifactContent, ArtifactInfo } from '../../machines/command.ts';
import { ProblemError } from '../../machines/error.ts';

const test = suite('artifacts');

const isRefused = (name: string): boolean => {
  try {
    checkArtifactName(name);
    return false;
  } catch (error) {
    assert.instance(error, ProblemError);
    assert.is((error as ProblemError).problem.code, 'invalid_input');
    return true;
  }
};

test('refuses names that lead elsewhere or that a file cannot have', () => {
  const bad = [
    '',
    '.',
    '..',
    '../x',
    'a/b',
    'a\\b',
    '/etc/passwd',
    'a..b',
    '.hidden',
    'a\0b',
    'a\nb',
    'x'.repeat(129),
    '界'.repeat(67),
  ];
  for (const name of bad) assert.ok(isRefused(name), JSON.stringify(name));
  assert.ok(isRefused(undefined as never));
  for (const name of ['report.txt', 'a b', 'bericht-ü.csv', 'x'.repeat(128), '-', '~'])
    assert.not(isRefused(name), name);
});

test('whatever name is taken stays in the directory of its execution', () => {
  const units = fc.constantFrom('.', '/', '\\', 'a', ' ', '\0', '😀', '~', '%2e');
  fc.assert(
    fc.property(fc.string({ unit: units, maxLength: 8 }), (name) => {
      if (isRefused(name)) return;
      assert.is(dirname(resolve(artifactPath('/data', 'exe_1', name))), '/data/exe_1');
    }),
  );
  assert.throws(() => artifactPath('/data', '..', 'x'), /not allowed/);
});

test('replaces one of the same name, and leaves nothing beside it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'arbor-artifacts-'));
  await writeArtifact(join(directory, 'artifacts'), 'exe_1', 'a', 'first', 'text/plain');
  const info = await writeArtifact(join(directory, 'artifacts'), 'exe_1', 'a', new Uint8Array([1, 2]), 'x/y');
  assert.is(info.bytes, 2);
  assert.equal([...(await readFile(artifactPath(join(directory, 'artifacts'), 'exe_1', 'a')))], [1, 2]);
  assert.equal(await readdir(join(directory, 'artifacts', 'exe_1')), ['a']);
  await rm(directory, { recursive: true, force: true });
});

const inDirectory = async (body: (artifacts: string) => Promise<void>): Promise<void> => {
  const directory = await mkdtemp(join(tmpdir(), 'arbor-artifacts-'));
  try {
    await body(join(directory, 'artifacts'));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};
const inPieces = async function* <Piece>(pieces: readonly Piece[]): AsyncGenerator<Piece> {
  yield* pieces;
};

test('pieces of text and bytes, large and small, come out as one, with its size and SHA-256', () =>
  inDirectory(async (artifacts) => {
    const text = fc.string({ unit: fc.constantFrom('a', 'é', '界', '😀', '\ud83d', '\ude00'), maxLength: 5 });
    const times = fc.constantFrom(1, 1, 3, 30_000);
    const texts = fc.tuple(text, times).map(([each, count]) => each.repeat(count));
    const bytes = fc.tuple(fc.uint8Array({ maxLength: 9 }), times).map(([each, count]) => {
      const whole = new Uint8Array(each.length * count);
      for (let n = 0; n < count; n++) whole.set(each, n * each.length);
      return whole;
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(texts, bytes), { maxLength: 8 }), async (pieces) => {
        // Texts that follow one another are one text, however they were cut.
        const joined = pieces.reduce<(string | Uint8Array)[]>((all, piece) => {
          const last = all.at(-1);
          if (typeof last !== 'string' || typeof piece !== 'string') return [...all, piece];
          return [...all.slice(0, -1), last + piece];
        }, []);
        const wanted = Buffer.concat(joined.map((each) => (typeof each === 'string' ? Buffer.from(each) : each)));
        const info = await writeArtifact(artifacts, 'exe_1', 'a', inPieces(pieces), 'x/y');
        const written = await readFile(artifactPath(artifacts, 'exe_1', 'a'));
        assert.is(Buffer.compare(written, wanted), 0);
        assert.equal([info.bytes, info.sha256], [wanted.length, createHash('sha256').update(wanted).digest('hex')]);
      }),
      { numRuns: 60, examples: [[['a\ud83d', '\ude00b', '\ud83d', new Uint8Array([1])]]] },
    );
  }));

test('the next piece is asked for when the last is written, and nothing is left of what fails or is not wanted', () =>
  inDirectory(async (artifacts) => {
    const piece = 'x'.repeat(256 * 1024);
    const sizes: number[] = [];
    const content = async function* () {
      for (let n = 0; n < 4; n++) {
        yield piece;
        const [aside = ''] = await readdir(join(artifacts, 'exe_1'));
        sizes.push((await stat(join(artifacts, 'exe_1', aside))).size);
      }
    };
    await writeArtifact(artifacts, 'exe_1', 'a', content(), 'x/y');
    for (const [n, size] of sizes.entries()) assert.ok(size >= n * piece.length, `${size} bytes after ${n + 1} pieces`);

    let asked = 0;
    const endless = async function* () {
      for (;;) {
        asked += 1;
        if (asked === 100) throw new Error('no more');
        yield piece;
      }
    };
    const unwanted = (): void => {
      if (asked === 3) throw new Error('not wanted');
    };
    for (const [check, message] of [
      [unwanted, 'not wanted'],
      [() => {}, 'no more'],
    ] as const)
      await writeArtifact(artifacts, 'exe_1', 'b', endless(), 'x/y', { check }).then(
        () => assert.unreachable(),
        (error: Error) => assert.is(error.message, message),
      );
    assert.equal(await readdir(join(artifacts, 'exe_1')), ['a']);
  }));

test('above its bound it is too large, whole or in pieces: nothing is left of it, and nobody asks for more', () =>
  inDirectory(async (artifacts) => {
    const maxBytes = 1024 * 1024;
    const piece = new Uint8Array(100_000).fill(7);
    const write = (content: ArtifactContent): Promise<ArtifactInfo> =>
      writeArtifact(artifacts, 'exe_1', 'a', content, 'x/y', { maxBytes });
    const codeOf = (content: ArtifactContent): Promise<unknown> =>
      write(content).then(
        () => null,
        (error: ProblemError) => error.problem.code,
      );
    let [given, closed] = [0, 0];
    const repeated = async function* (bytes: number) {
      try {
        for (let left = bytes; left > 0; left -= piece.length) {
          given += 1;
          yield piece.subarray(0, left);
        }
      } finally {
        closed += 1;
      }
    };
    const full = 'é'.repeat(maxBytes / 2);
    for (const content of [repeated(maxBytes), inPieces([full.slice(9), full.slice(0, 9)]), full])
      assert.is((await write(content)).bytes, maxBytes);
    const kept = await readFile(artifactPath(artifacts, 'exe_1', 'a'));
    for (const content of [repeated(maxBytes + 1), inPieces([full, 'x']), `${full}x`])
      assert.is(await codeOf(content), 'too_large');
    given = 0;
    assert.is(await codeOf(repeated(4 * maxBytes)), 'too_large');
    assert.ok(given <= 14, `${given} pieces`);
    assert.is(closed, 3, 'what gives the content was told to end');
    // What was there under the name still is.
    assert.equal(await readdir(join(artifacts, 'exe_1')), ['a']);
    assert.is(Buffer.compare(await readFile(artifactPath(artifacts, 'exe_1', 'a')), kept), 0);
  }));

test('what a crash has left unfinished is removed, and nothing else', () =>
  inDirectory(async (artifacts) => {
    await removeUnfinished(artifacts, 'exe_1');
    await writeArtifact(artifacts, 'exe_1', 'a', 'whole', 'x/y');
    await writeFile(join(artifacts, 'exe_1', '.a.0123456789ab'), 'a part');
    await removeUnfinished(artifacts, 'exe_1');
    assert.equal(await readdir(join(artifacts, 'exe_1')), ['a']);
  }));

test.run();
