import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { MUTANTS } from './mutants.ts';

const SMALL = new URL('./small-lru-cache.ts', import.meta.url).href;
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Arranges, before the house is loaded, caches of a size that suits a history, and a mutant in place of the file that it
 * changes, where one is named. Throws where there is none of this name.
 */
export const arrange = (name: string | undefined): void => {
  const mutant = MUTANTS.find((each) => each.name === name) ?? null;
  if (mutant === null && name !== undefined) throw new Error(`there is no mutant "${name}"`);
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'lru-cache' && context.parentURL !== SMALL
        ? { url: SMALL, format: 'module-typescript', shortCircuit: true }
        : next(specifier, context),
    load: (url, context, next) => {
      const loaded = next(url, context);
      if (mutant === null || !url.startsWith('file:') || fileURLToPath(url) !== ROOT + mutant.file) return loaded;
      const source = Buffer.from(loaded.source as string).toString('utf8');
      if (source.split(mutant.find).length !== 2)
        throw new Error(`${mutant.name}: its place in ${mutant.file} is gone`);
      return { ...loaded, source: source.replace(mutant.find, () => mutant.replace) };
    },
  });
};
