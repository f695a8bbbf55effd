import type { Language, StringSyntax } from './languages.ts';

export type LineKind = 'code' | 'comment' | 'blank';

export interface ScannedLine {
  readonly kind: LineKind;
  /** The line's code, without comments; each literal is only `""`. Empty where the line is above `MAX_CODE`. */
  readonly code: string;
  /** Whether the line began inside a literal or a comment. */
  readonly continues: boolean;
}

/** Code of longer lines, in characters, is not kept: nobody wrote them. */
export const MAX_CODE = 64 * 1024;

export type LineScanner = (line: string) => ScannedLine;

/** What a line can end inside of. `depth` counts nested comments, or the braces open in an interpolation. */
type Inside =
  | { readonly type: 'comment'; readonly block: number; depth: number }
  | { readonly type: 'string'; readonly string: StringSyntax; readonly end: RegExp; readonly comment: boolean }
  | { readonly type: 'interpolation'; depth: number };

type Token =
  | { readonly type: 'comment'; readonly block: number }
  | { readonly type: 'string'; readonly string: StringSyntax; readonly end: RegExp }
  | { readonly type: 'line' | 'atom' | 'regex' | 'brace' };

const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|delete|void|throw|await|yield))\s*$/;
/** Bounded, so that a line without an end to it costs no more than its length. */
const REGEX_LITERAL = /\/(?![*/])(?:[^\\/[\n]|\\.|\[(?:[^\]\\\n]|\\.){0,500}\]){1,2000}\/[a-z]*/y;
const LOOK_BACK = 80;
/** Deeper interpolations are taken for text. */
const MAX_INSIDE = 200;

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

const tokensOf = (language: Language): { readonly opener: RegExp; readonly tokens: readonly Token[] } => {
  const { line = [], block = [], strings = [], atoms = [], regex = false } = language;
  const all: (readonly [source: string, token: Token])[] = [
    ...atoms.map((source) => [source, { type: 'atom' }] as const),
    ...block.map(([open], index) => [open, { type: 'comment', block: index }] as const),
    ...line.map((source) => [source, { type: 'line' }] as const),
    ...strings.map((string) => {
      const parts = [
        ...(string.escapes ? ['\\\\[^]?'] : []),
        literal(string.close),
        ...(string.interpolates === true ? ['\\$\\{'] : []),
      ];
      return [string.open, { type: 'string', string, end: new RegExp(parts.join('|'), 'g') }] as const;
    }),
    ...(regex ? [['\\/', { type: 'regex' }] as const] : []),
    ...(strings.some(({ interpolates }) => interpolates === true) ? [['[{}]', { type: 'brace' }] as const] : []),
  ];
  // Without a token the pattern must match nothing at all.
  const opener = new RegExp(all.map(([source]) => `(${source})`).join('|') || '[]', 'g');
  return { opener, tokens: all.map(([, token]) => token) };
};

const BRACKET: Readonly<Record<string, number>> = { '(': 1, '[': 1, '{': 1, ')': -1, ']': -1, '}': -1 };

/**
 * Reads a file of this language line by line (without line ends) and says of each what it is: `blank` with nothing but
 * white space, wherever it stands; `comment` with nothing but comment; else `code`, so a literal that goes on over
 * several lines is code, unless it documents.
 */
export const createLineScanner = (language: Language): LineScanner => {
  const { opener, tokens } = tokensOf(language);
  const blocks = (language.block ?? []).map(([open, close]) => {
    const nests = language.nests === true;
    return { close: new RegExp(nests ? `(${close})|(${open})` : `(${close})`, 'g') };
  });
  const documents = language.strings?.some((string) => string.documents === true) === true;
  const inside: Inside[] = [];
  let depth = 0;

  return (line) => {
    const continues = inside.length > 0;
    if (line.trim() === '') return { kind: 'blank', code: '', continues };
    const pieces: string[] = [];
    let tail = '';
    let code = false;
    let comment = false;
    let at = 0;

    const addCode = (text: string): void => {
      if (text === '') return;
      if (line.length <= MAX_CODE) pieces.push(text);
      tail = (text.length >= LOOK_BACK ? text : tail + text).slice(-LOOK_BACK);
      if (text.trim() !== '') code = true;
      if (documents) for (const char of text) depth = Math.max(0, depth + (BRACKET[char] ?? 0));
    };

    const endComment = (current: Extract<Inside, { type: 'comment' }>): void => {
      const { close } = blocks[current.block] as (typeof blocks)[number];
      close.lastIndex = at;
      const match = close.exec(line);
      const end = match === null ? line.length : close.lastIndex;
      if (line.slice(at, end).trim() !== '') comment = true;
      at = end;
      if (match === null) return;
      current.depth += match[1] === undefined ? 1 : -1;
      if (current.depth === 0) inside.pop();
    };

    const endString = ({ string, end, comment: isComment }: Extract<Inside, { type: 'string' }>): void => {
      end.lastIndex = at;
      const match = end.exec(line);
      const to = match === null ? line.length : end.lastIndex;
      if (to > at && line.slice(at, to).trim() !== '') {
        if (isComment) comment = true;
        else code = true;
      }
      at = to;
      const found = match?.[0];
      if (found === string.close) {
        inside.pop();
        if (!isComment) addCode('""');
      } else if (string.interpolates === true && found === '${' && inside.length < MAX_INSIDE)
        inside.push({ type: 'interpolation', depth: 0 });
      // Only a backslash before the line's end carries such a string over it.
      else if (!string.multiline && at >= line.length && found !== '\\') inside.pop();
    };

    const open = (token: Token, text: string): void => {
      if (token.type === 'comment') {
        inside.push({ type: 'comment', block: token.block, depth: 1 });
        comment = true;
      } else if (token.type === 'string') {
        const { string, end } = token;
        const isComment = string.documents === true && !code && !continues && depth === 0;
        if (isComment) comment = true;
        else code = true;
        inside.push({ type: 'string', string, end, comment: isComment });
        if (at >= line.length && !string.multiline) inside.pop();
      } else if (token.type === 'line') {
        comment = true;
        at = line.length;
      } else if (token.type === 'atom') addCode('""');
      else if (token.type === 'regex') {
        REGEX_LITERAL.lastIndex = at - text.length;
        if (BEFORE_REGEX.test(tail) && REGEX_LITERAL.test(line)) {
          at = REGEX_LITERAL.lastIndex;
          addCode('""');
        } else addCode(text);
      } else {
        const around = inside.at(-1);
        if (around?.type !== 'interpolation') addCode(text);
        else if (text === '}' && around.depth === 0) inside.pop();
        else {
          around.depth += text === '{' ? 1 : -1;
          addCode(text);
        }
      }
    };

    while (at < line.length) {
      const current = inside.at(-1);
      if (current?.type === 'comment') endComment(current);
      else if (current?.type === 'string') endString(current);
      else {
        opener.lastIndex = at;
        const match = opener.exec(line);
        addCode(line.slice(at, match === null ? line.length : match.index));
        if (match === null) break;
        at = opener.lastIndex;
        const index = match.findIndex((group, i) => i > 0 && group !== undefined) - 1;
        open(tokens[index] as Token, match[0]);
      }
    }
    return { kind: code || !comment ? 'code' : 'comment', code: pieces.join(''), continues };
  };
};
