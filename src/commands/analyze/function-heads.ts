import type { FunctionStyle } from './languages.ts';

/** The styles whose bodies stand in braces. */
export type BraceStyle = Exclude<FunctionStyle, 'python' | 'ruby'>;

// Names are matched in Latin-1 (see file-analysis.ts): a letter beyond ASCII is two or more characters from \x80 on.

/** The head of a function: its name, and where in the text it stands. */
export interface Head {
  readonly name: string;
  readonly index: number;
}

const ANONYMOUS = '(anonymous)';

const CONTROL = new Set(
  'if for while switch catch with return else do try foreach lock using fixed synchronized sizeof throw await typeof assert when guard match loop unsafe'.split(
    ' ',
  ),
);

const withoutGenerics = (text: string): string => {
  // Blanked, not removed, so that positions stay.
  const blank = (match: string): string => ' '.repeat(match.length);
  return text.replace(/<[^<>=]*>/g, blank).replace(/<[^<>=]*>/g, blank);
};

const ASSIGNED = /([\w\x80-\xff$#]+)\s*(?:[?!]?\s*:[^=]*)?=(?![=>])/g;
const PROPERTY = /([\w\x80-\xff$#]+)\s*:(?!:)/;

const assignedName = (text: string): Head => {
  const last = [...text.matchAll(ASSIGNED)].at(-1) ?? PROPERTY.exec(text);
  return last === null || last === undefined
    ? { name: ANONYMOUS, index: text.search(/\S|$/) }
    : { name: last[1] as string, index: last.index };
};

const scriptHead = (header: string): Head | null => {
  const text = withoutGenerics(header);
  const comma = text.lastIndexOf(',') + 1;
  const last = ' '.repeat(comma) + text.slice(comma);
  if (/=>\s*$/.test(text)) return assignedName(last);
  const word = [...last.matchAll(/\bfunction\b\s*\*?\s*([\w\x80-\xff$]*)/g)].at(-1);
  if (word !== undefined) return word[1] === '' ? assignedName(last) : { name: word[1] as string, index: word.index };
  if (/(?:^|[\s;])(?:class|interface|enum|namespace|module|new)\s/.test(last)) return null;
  const method = /(#?[\w\x80-\xff$]+|\[\])\s*\(\)\s*(?::[^]*)?$/.exec(last);
  if (method === null || CONTROL.has(method[1] as string) || /[^=!<>]=(?!=)/.test(last)) return null;
  return { name: method[1] === '[]' ? '[computed]' : (method[1] as string), index: method.index };
};

const goHead = (header: string): Head | null => {
  // Its head is on one line, since the line ends inside brackets are not in the header.
  const start = header.trimEnd().lastIndexOf('\n') + 1;
  const line = header.slice(start);
  const named = /\bfunc\b\s*(?:\(\)\s*)?([\w\x80-\xff]+)\s*(?:\[\])?\s*\(\)/.exec(line);
  if (named !== null) return { name: named[1] as string, index: start + named.index };
  const word = /\bfunc\b/.exec(line);
  return word === null ? null : { name: ANONYMOUS, index: start + word.index };
};

const KEYWORD = /\b(?:fn|fun|func|function|def)\b\s*(?:&\s*)?(?:<[^>]*>\s*)?(?:[\w\x80-\xff.?<>]+\.)?([\w\x80-\xff]*)/g;
const OTHER_BLOCK = /\b(?:class|object|interface|trait|struct|enum|impl|if|for|while|when|switch|match|init|get|set)\b/;

const keywordHead = (header: string): Head | null => {
  const word = [...header.matchAll(KEYWORD)].at(-1);
  // Where statements need no `;`, another block may follow a function that has none.
  if (word === undefined || OTHER_BLOCK.test(header.slice(word.index + word[0].length))) return null;
  return { name: word[1] || ANONYMOUS, index: word.index };
};

const cHead = (header: string): Head | null => {
  if (/(?:->|=>)\s*$/.test(header)) return { name: ANONYMOUS, index: header.search(/\S/) };
  const text = header.replace(/@[\w\x80-\xff.]+(?:\s*\(\))?|__attribute__\s*\(\)/g, (match) =>
    ' '.repeat(match.length),
  );
  if (/(?:^|\s)(?:class|interface|enum|namespace|record|new)\s/.test(text) || /(?<!operator\S*)=/.test(text))
    return null;
  const match = /(\[\]|[~\w\x80-\xff]+(?:::[~\w\x80-\xff]+)*|operator[^\s(]+)\s*\(\)/.exec(text);
  if (match === null || CONTROL.has(match[1] as string)) return null;
  return { name: match[1] === '[]' ? ANONYMOUS : (match[1] as string), index: match.index };
};

/**
 * Reads what stands before an opening brace, in which every bracketed part is only `()`, `[]` or `{}`. Null where that
 * is no function's head.
 */
export const FUNCTION_HEADS: Readonly<Record<BraceStyle, (header: string) => Head | null>> = {
  script: scriptHead,
  go: goHead,
  keyword: keywordHead,
  c: cHead,
};
