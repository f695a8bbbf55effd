/**
 * Builds `dist/`: the JavaScript that the package ships and that `npx arbor` runs, since Node strips no types inside
 * `node_modules`. Files are written over the old ones, and what no source stands behind any more is removed after.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, globSync, rmSync, statSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const compiler = join(root, 'node_modules/typescript/bin/tsc');
const bin = join(root, 'dist/src/cli/main.js');

const build = (): number => {
  if (!existsSync(compiler)) {
    // `npm ci --omit=dev` in a clone runs `prepare` as well: there is nothing to build with, and nothing went wrong.
    process.stdout.write('dist/ is left as it is: typescript is not installed\n');
    return 0;
  }
  const args = [compiler, '-p', join(root, 'tsconfig.build.json'), '--listEmittedFiles', '--pretty', 'false'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  const [emitted, messages] = [new Set<string>(), [] as string[]];
  for (const line of stdout.split('\n')) {
    if (line.startsWith('TSFILE: '))
      emitted.add(relative(root, line.slice('TSFILE: '.length).trim()).split(sep).join('/'));
    else messages.push(line);
  }
  process.stdout.write(messages.join('\n').trimStart());
  process.stderr.write(stderr);
  if (status !== 0) return status ?? 1;

  for (const file of globSync('dist/**/*', { cwd: root })) {
    if (!emitted.has(file.split(sep).join('/')) && statSync(join(root, file)).isFile()) rmSync(join(root, file));
  }
  if (existsSync(bin)) chmodSync(bin, 0o755);
  return 0;
};

process.exitCode = build();
