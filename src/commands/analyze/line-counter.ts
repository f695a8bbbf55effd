import type { FoundFunction } from './function-finder.ts';
import { createFunctionFinder } from './functions.ts';
import type { Language } from './languages.ts';
import { createLineScanner, MAX_CODE } from './line-scanner.ts';

/** Lines by kind; their sum is the number of lines. */
export interface LineCount {
  readonly code: number;
  readonly comment: number;
  readonly blank: number;
}

export interface LineCounter {
  /** The next line, without its line feed. */
  line(text: string): void;
  end(): LineCount;
}

/** Counts the lines of one file and reports its functions. */
export const createLineCounter = (language: Language, found: (one: FoundFunction) => void): LineCounter => {
  const scan = createLineScanner(language);
  let finder = language.functions === undefined ? null : createFunctionFinder(language.functions, found);
  const count = { code: 0, comment: 0, blank: 0 };
  let number = 0;
  return {
    line: (text) => {
      const scanned = scan(text);
      number += 1;
      count[scanned.kind] += 1;
      // Its brackets are not known, so what is open cannot be told any more.
      if (text.length > MAX_CODE) finder = null;
      finder?.line(number, scanned);
    },
    end: () => {
      finder?.end();
      return count;
    },
  };
};

/**
 * The lines of a text, one at a time: a line ends with a line feed, before which a carriage return does not count, and
 * text after the last line feed is a line too.
 */
export function* linesOf(text: string): Generator<string> {
  let from = 0;
  while (from < text.length) {
    const feed = text.indexOf('\n', from);
    const to = feed === -1 ? text.length : feed;
    yield text.slice(from, text[to - 1] === '\r' && to > from ? to - 1 : to);
    from = to + 1;
  }
}
