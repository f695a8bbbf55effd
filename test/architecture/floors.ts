import { importsOf, packageOf, type Import, type Sources } from './imports.ts';
import { maskSource } from '../support/source.ts';

/** What the files under `path` may import; the first room that holds a file counts. */
interface Room {
  path: string;
  /** Folders, with a slash at the end. */
  rooms: readonly string[];
  /** The only packages, where that is the rule. */
  packages?: readonly string[];
  /** Packages and prefixes of them (`node:`) that have no place here. */
  never?: readonly string[];
}

const PURE = ['machines/'];
const SERVER_HTTP = ['fastify', 'undici', 'node:http', 'node:https', 'node:http2'];

const ROOMS: readonly Room[] = [
  { path: 'machines/', rooms: PURE, packages: ['xstate', 'zod'] },
  { path: 'brokers/', rooms: ['brokers/', ...PURE], never: ['xstate'] },
  { path: 'actors/', rooms: ['actors/', 'brokers/', ...PURE], never: SERVER_HTTP },
  { path: 'src/operations/', rooms: ['src/operations/', ...PURE], packages: ['zod'] },
  { path: 'src/client/', rooms: ['src/client/', 'src/operations/', ...PURE], never: ['node:'] },
  { path: 'src/web/', rooms: ['src/web/', 'src/client/', 'src/operations/', ...PURE], never: ['node:'] },
  { path: 'src/gateway/', rooms: ['src/', 'actors/', 'brokers/', ...PURE], never: ['xstate'] },
  { path: 'src/commands/', rooms: ['src/', ...PURE], never: ['xstate'] },
  { path: 'src/', rooms: ['src/', 'actors/', 'brokers/', ...PURE] },
];

/** What a machine may not do itself, since the same messages must lead to the same state whenever they are replayed. */
const IMPURE: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['the clock', /\bDate\.now\b|\bnew Date\(\s*\)|\bnew Date\b(?!\s*\()|(?<!new )(?<!\.)\bDate\(|\bperformance\s*\./g],
  ['randomness', /\bMath\.random\b|\bcrypto\b|\brandomUUID\b/g],
  ['a timer', /\bset(?:Timeout|Interval|Immediate)\b|\bqueueMicrotask\b|\bafter\s*:\s*\{/g],
  ['a promise', /\bnew Promise\b|\bPromise\s*\.|\bfromPromise\b|\basync\b|\bawait\b|\binvoke\s*:/g],
  ['the outside', /\bfetch\s*\(|\bprocess\s*\.|\bglobalThis\b|\bconsole\s*\.|\brequire\s*\(|\bimport\s*\.\s*meta\b/g],
];

export const MAX_LINES = 400;

const TOP_LEVEL =
  'src actors machines brokers test package.json package-lock.json tsconfig.json tsconfig.build.json README.md ' +
  'CHANGELOG.md LICENSE biome.json knip.json .ci .editorconfig .git .gitattributes .gitignore .oxlintrc.json';
const AGREED = new Set(TOP_LEVEL.split(' '));

const under = (path: string, prefixes: readonly string[]): boolean =>
  prefixes.some((prefix) => path.startsWith(prefix));

const importsIn = (sources: Sources): Import[] =>
  Object.entries(sources).flatMap(([path, source]) => importsOf(path, source));

/** Imports that go up a floor, into a room out of reach, or to a package that has no place there. */
export const forbiddenImports = (sources: Sources): string[] =>
  importsIn(sources)
    .filter(({ from, to, relative }) => {
      const room = ROOMS.find(({ path }) => from.startsWith(path));
      if (!room) return false;
      if (relative) return !under(to, room.rooms);
      const name = packageOf(to);
      if (room.packages && !room.packages.includes(name)) return true;
      return (room.never ?? []).some((never) => name === never || (never.endsWith(':') && name.startsWith(never)));
    })
    .map(({ from, to }) => `${from} imports ${to}`);

/** Circles of imports, each once, from the first of its files by name back to itself. */
export const circles = (sources: Sources): string[] => {
  const edges = Map.groupBy(
    importsIn(sources).filter(({ relative }) => relative),
    ({ from }) => from,
  );
  const found = new Set<string>();
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start !== -1) {
      const circle = trail.slice(start);
      const first = circle.indexOf(circle.toSorted()[0] ?? '');
      const turned = [...circle.slice(first), ...circle.slice(0, first + 1)];
      found.add(turned.join(' → '));
      return;
    }
    if (done.has(path)) return;
    for (const { to } of edges.get(path) ?? []) walk(to, [...trail, path]);
    done.add(path);
  };
  for (const path of Object.keys(sources)) walk(path, []);
  return [...found];
};

/** Places in `machines/` that reach for the clock, chance, a timer, a promise or the outside. */
export const impurities = (sources: Sources): string[] =>
  Object.entries(sources)
    .filter(([path]) => under(path, PURE))
    .flatMap(([path, source]) => {
      const code = maskSource(source, { strings: true });
      return IMPURE.flatMap(([what, pattern]) =>
        [...code.matchAll(pattern)].map(
          ({ 0: text, index }) =>
            `${path}:${code.slice(0, index).split('\n').length} reaches for ${what}: ${text.trim()}`,
        ),
      );
    });

/** Files that want dividing. */
export const longFiles = (sources: Sources): string[] =>
  Object.entries(sources)
    .map(([path, source]) => ({ path, lines: source.trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > MAX_LINES)
    .map(({ path, lines }) => `${path} has ${lines} lines`);

/** Entries of the root that were not agreed on; `ignored` are the lines of `.gitignore`. */
export const strangers = (entries: readonly string[], ignored: readonly string[]): string[] => {
  const untracked = new Set(ignored.map((line) => line.replace(/\/$/, '')));
  return entries.filter((entry) => !AGREED.has(entry) && !untracked.has(entry));
};
