import type { FoundFunction, FunctionFinder } from './function-finder.ts';

interface Open {
  readonly name: string;
  readonly line: number;
  readonly indent: number;
}

const HEAD = {
  python: /^\s*(?:async\s+)?def\s+([^\s(:[]+)/,
  ruby: /^\s*(?:(?:private|public|protected|module_function)\s+)?def\s+([^\s(;]+)/,
} as const;

const TAB = 8;
const indentOf = (code: string): number => {
  let indent = 0;
  for (const char of code) {
    if (char === ' ') indent += 1;
    else if (char === '\t') indent += TAB - (indent % TAB);
    else break;
  }
  return indent;
};

/** Finds functions that end where the indentation does (Python) or at the `end` under their `def` (Ruby). */
export const createIndentFinder = (style: 'python' | 'ruby', found: (one: FoundFunction) => void): FunctionFinder => {
  const open: Open[] = [];
  let lastCode = 0;
  let brackets = 0;

  const close = (to: number): void => {
    const one = open.pop();
    if (one !== undefined) found({ name: one.name, line: one.line, lines: to - one.line + 1 });
  };

  return {
    line: (number, { kind, code, continues }) => {
      if (kind !== 'code') return;
      const inner = continues || brackets > 0;
      if (!inner) {
        const indent = indentOf(code);
        const ends = style === 'ruby' && /^\s*end\b/.test(code);
        while (open.length > 0 && indent <= (open.at(-1) as Open).indent) {
          const isItsEnd = ends && indent === (open.at(-1) as Open).indent;
          close(isItsEnd ? number : lastCode);
          if (isItsEnd) break;
        }
        const name = HEAD[style].exec(code)?.[1];
        // `def a = b` and `def a; end` end on their own line.
        const short = style === 'ruby' && /;\s*end\s*$|^\s*def\s+[\w?!.]+\s*(?:\([^)]*\))?\s*=\s/.test(code);
        if (name !== undefined && short) found({ name, line: number, lines: 1 });
        else if (name !== undefined) open.push({ name, line: number, indent });
      }
      for (const char of code) {
        if ('([{'.includes(char)) brackets += 1;
        else if (')]}'.includes(char)) brackets = Math.max(0, brackets - 1);
      }
      lastCode = number;
    },
    end: () => {
      while (open.length > 0) close(lastCode);
    },
  };
};
