import { posix } from 'node:path';
import { maskSource } from '../support/source.ts';

/** The source files under test, by path from the root with forward slashes. */
export type Sources = Readonly<Record<string, string>>;

export interface Import {
  from: string;
  /** A path from the root for a relative import, else the specifier as it is written. */
  to: string;
  relative: boolean;
  /** Erased before anything runs: `import type` and `export type`. By its text, `import('…')` of a type is not told apart. */
  typeOnly: boolean;
}

/** A statement's specifier stands behind `from`, or alone behind `import`; types count as much as values. */
const STATEMENT = /\b(?:import|export)\b[^'";]*?\bfrom\s*(['"])(.*?)\1|\bimport\s*(['"])(.*?)\3/g;
/** `import('…')`, of a value or of a type. */
const EXPRESSION = /\bimport\(\s*(['"`])(.*?)\1/g;
const OF_TYPES = /^(?:import|export)\s+type\s+(?!from\b)/;

/** All that one file imports, whether it exists or not. */
export const importsOf = (path: string, source: string): Import[] => {
  const code = maskSource(source, { strings: true });
  const readable = maskSource(source, { strings: false });
  return [STATEMENT, EXPRESSION].flatMap((pattern) =>
    [...readable.matchAll(pattern)]
      .filter(({ index }) => code[index] === readable[index])
      .map((match): Import => {
        const specifier = match[2] ?? match[4] ?? '';
        const relative = specifier.startsWith('.');
        return {
          from: path,
          to: relative ? posix.join(posix.dirname(path), specifier) : specifier,
          relative,
          typeOnly: OF_TYPES.test(match[0]),
        };
      }),
  );
};

/** The name of the package behind a specifier: `@xstate/store` of `@xstate/store/react`. */
export const packageOf = (specifier: string): string =>
  specifier.startsWith('node:')
    ? specifier
    : specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
