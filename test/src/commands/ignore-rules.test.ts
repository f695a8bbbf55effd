import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { allowedPath } from '../../../src/commands/analyze/allowed-path.ts';
import { walk } from '../../../src/commands/analyze/walk.ts';

const { signal } = new AbortController();

const write = (root: string, files: Readonly<Record<string, string>>): void => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
};

const inTree = async <T>(files: Readonly<Record<string, string>>, use: (root: string) => Promise<T>): Promise<T> => {
  const root = mkdtempSync(join(tmpdir(), 'arbor-ignore-'));
  try {
    write(root, files);
    return await use(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
};

const walked = async (root: string, path = '.'): Promise<string[]> => {
  const found: string[] = [];
  for await (const entry of walk(await allowedPath(path, [root]), signal)) found.push(entry.path);
  return found.toSorted();
};

const test = suite('gitignore');

test('nested files, negation, anchors; the one inside decides', async () => {
  const files = {
    '.gitignore': '*.log\n/build\n!keep.log\ntemp/\n',
    'a.log': '',
    'keep.log': '',
    'A.LOG': '',
    'build/x': '',
    'sub/build/x': '',
    'sub/temp/x': '',
    'sub/deep/temp': '',
    'sub/.gitignore': '!b.log\n*.txt\r\n',
    'sub/b.log': '',
    'sub/c.log': '',
    'sub/d.txt': '',
    'sub/deep/b.log': '',
    'd.txt': '',
  };
  await inTree(files, async (root) => {
    assert.equal(await walked(root), [
      '.gitignore',
      'A.LOG',
      'd.txt',
      'keep.log',
      'sub/.gitignore',
      'sub/b.log',
      'sub/build/x',
      'sub/deep/b.log',
      'sub/deep/temp',
    ]);
  });
});

test('a directory that an inner file includes again is walked', async () => {
  const files = {
    '.gitignore': 'out/\n',
    'sub/.gitignore': '!out/\n',
    'sub/out/a': '',
    'sub/out/out/b': '',
    'out/c': '',
  };
  await inTree(files, async (root) => {
    assert.equal(await walked(root), ['.gitignore', 'sub/.gitignore', 'sub/out/a', 'sub/out/out/b']);
  });
});

test('files above the path count too, but do not exclude the path itself', async () => {
  const files = {
    '.gitignore': '*.log\nout/\n/sub/x\n',
    'sub/a.log': '',
    'sub/x': '',
    'sub/b': '',
    'out/a.log': '',
    'out/b': '',
  };
  await inTree(files, async (root) => {
    assert.equal(await walked(root, 'sub'), ['b']);
    assert.equal(await walked(root, 'out'), ['b']);
  });
});

test('the directory of Git is left out, and a .gitignore that is a link is not read', async () => {
  await inTree({ '.git/config': '', 'sub/.git': 'gitdir: x', a: '', rules: 'a\n' }, async (root) => {
    symlinkSync('rules', join(root, '.gitignore'));
    assert.equal(await walked(root), ['.gitignore', 'a', 'rules']);
  });
});

const hasGit = (() => {
  try {
    execFileSync('git', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

if (hasGit) {
  test('leaves out what Git leaves out', async () => {
    const name = fc.constantFrom('a', 'b', 'c.x', 'd.x', 'e f');
    const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
    const pattern = fc
      .tuple(
        fc.constantFrom('', '', '!', '/', '**/'),
        fc.constantFrom('a', 'b', 'a/b', '*.x', '*', 'e f', 'b/*', 'a/**', '[ab]'),
        fc.constantFrom('', '/'),
      )
      .map((parts) => parts.join(''));
    const rules = fc.tuple(fc.constantFrom('', 'a/', 'b/', 'a/b/'), fc.array(pattern, { minLength: 1, maxLength: 4 }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(path, { minLength: 3, maxLength: 12 }),
        fc.array(rules, { minLength: 1, maxLength: 3 }),
        (paths, ignores) =>
          inTree({}, async (root) => {
            for (const one of paths) {
              // A path may need a directory where another is a file: then it is left away.
              try {
                write(root, { [one]: '' });
              } catch {}
            }
            for (const [directory, patterns] of ignores) {
              try {
                write(root, { [`${directory}.gitignore`]: `${patterns.join('\n')}\n` });
              } catch {}
            }
            const git = (...args: string[]): string =>
              execFileSync('git', args, {
                cwd: root,
                encoding: 'utf8',
                env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' },
              });
            git('init', '-q');
            const expected = git('ls-files', '-z', '--others', '--exclude-standard').split('\0').filter(Boolean);
            assert.equal(await walked(root), expected.toSorted());
          }),
      ),
      { numRuns: 60 },
    );
  });
}

test.run();
