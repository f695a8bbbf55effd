import { FUNCTION_HEADS, type BraceStyle } from './function-heads.ts';
import type { FoundFunction, FunctionFinder } from './function-finder.ts';

/** An open bracket: what was written in it since its last statement, and on which line that begins. */
interface Frame {
  readonly opener: string;
  /** The function whose body it is, or null. */
  readonly body: { readonly name: string; readonly line: number } | null;
  /** Whether it belongs to an expression or a type, so that what stood before it goes on after it. */
  readonly inline: boolean;
  header: string;
  headerLine: number;
}

const MAX_HEADER = 200;
/** Deeper nesting is no source that a person wrote: the rest of such a file is not searched. */
const MAX_DEPTH = 500;
const BRACKETS = /[{}()[\];]/g;
const EXPECTS_VALUE = /(?:[=:,?|&<(]|\breturn|\bdefault)\s*$/;
const CLOSES: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' };

const frame = (opener: string, inline: boolean, body: Frame['body'], line: number): Frame => ({
  opener,
  inline,
  body,
  header: '',
  headerLine: line,
});

/**
 * Finds functions whose bodies stand in braces. Each bracket has a frame of its own and leaves only its two signs in
 * the one around it, so a head is read without its parameters' text.
 */
export const createBraceFinder = (style: BraceStyle, found: (one: FoundFunction) => void): FunctionFinder => {
  const frames: Frame[] = [];
  let current = frame('', false, null, 1);
  let lost = false;

  const write = (text: string, line: number): void => {
    if (current.header === '') {
      const from = text.search(/\S/);
      if (from === -1) return;
      current.headerLine = line;
      current.header = text.slice(from);
    } else current.header += text;
    if (current.header.length <= MAX_HEADER) return;
    const cut = current.header.length - MAX_HEADER;
    for (const char of current.header.slice(0, cut)) if (char === '\n') current.headerLine += 1;
    current.header = current.header.slice(cut);
  };

  const push = (opener: string, line: number): void => {
    const head = opener === '{' && !EXPECTS_VALUE.test(current.header) ? FUNCTION_HEADS[style](current.header) : null;
    const inline =
      opener !== '{' || current.opener === '(' || current.opener === '[' || EXPECTS_VALUE.test(current.header);
    const body = head && {
      name: head.name,
      line: current.headerLine + current.header.slice(0, head.index).split('\n').length - 1,
    };
    frames.push(current);
    current = frame(opener, inline, body, line);
    lost = frames.length > MAX_DEPTH;
  };

  const pop = (line: number): void => {
    const { body, inline, opener } = current;
    if (body !== null) found({ ...body, lines: line - body.line + 1 });
    current = frames.pop() as Frame;
    if (!inline) current.header = '';
    else write(opener === '(' ? '()' : opener === '[' ? '[]' : '{}', line);
  };

  const bracket = (char: string, line: number): void => {
    if (char === ';') {
      current.header = '';
      return;
    }
    const opener = CLOSES[char];
    if (opener === undefined) return push(char, line);
    // A brace closes what was left open inside it; any other closing sign without its opening one says nothing.
    if (opener === '{') while (frames.length > 0 && current.opener !== '{') pop(line);
    if (current.opener === opener) pop(line);
  };

  return {
    line: (number, { code }) => {
      if (lost || (style === 'c' && code.trimStart().startsWith('#'))) return;
      let at = 0;
      for (const match of code.matchAll(BRACKETS)) {
        write(code.slice(at, match.index), number);
        bracket(match[0], number);
        at = match.index + 1;
        if (lost) return;
      }
      write(`${code.slice(at)}\n`, number);
    },
    end: () => {},
  };
};
