import { importsOf, packageOf, type Import, type Sources } from './imports.ts';

/**
 * The shortest path of imports by which `entry` loads the package at run time, from file to file and last the specifier;
 * null where it does not load it. What is imported as a type alone is erased; `{ type A }` is not, since the statement
 * stays and with it the load. A path that is no source leads nowhere.
 */
export const pathToPackage = (sources: Sources, entry: string, name: string): readonly string[] | null => {
  const trails = [[entry]];
  const seen = new Set([entry]);
  const loads = (path: string): Import[] => importsOf(path, sources[path] ?? '').filter(({ typeOnly }) => !typeOnly);
  for (const trail of trails) {
    for (const { to, relative } of loads(trail.at(-1) ?? '')) {
      if (!relative && packageOf(to) === name) return [...trail, to];
      if (!relative || seen.has(to)) continue;
      seen.add(to);
      trails.push([...trail, to]);
    }
  }
  return null;
};
