import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { MUTANTS } from './mutants.ts';

const SMALL = new URL('./small-lru-cache.ts', import.meta.url).href;
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/**
 * What has to be arranged before the house is loaded: caches of a size that suits a history, and, where the environment
 * names one, a mutant in place of the file that it changes.
 */
const mutant = MUTANTS.find(({ name }) => name === process.env['ARBOR_MUTANT']) ?? null;
if (mutant === null && process.env['ARBOR_MUTANT'] !== undefined) throw new Error('there is no such mutant');

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'lru-cache' && context.parentURL !== SMALL
      ? { url: SMALL, format: 'module-typescript', shortCircuit: true }
      : next(specifier, context),
  load: (url, context, next) => {
    const loaded = next(url, context);
    if (mutant === null || !url.startsWith('file:') || fileURLToPath(url) !== ROOT + mutant.file) return loaded;
    const source = String(loaded.source);
    if (source.split(mutant.find).length !== 2) throw new Error(`${mutant.name}: its place in ${mutant.file} is gone`);
    return { ...loaded, source: source.replace(mutant.find, () => mutant.replace) };
  },
});
