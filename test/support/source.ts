/** What may stand before a regular expression; after anything else, a slash divides. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|delete|void|throw|await|yield))\s*$/;
/** Characters before a slash that {@link BEFORE_REGEX} looks at. */
const LOOK_BACK = 80;

interface Mask {
  /** Blank the text of string, template and regular expression literals too, so that only code is left. */
  strings: boolean;
}

const blank = (text: string): string => text.replace(/[^\n]/g, ' ');

const indexAfter = (source: string, needle: string, from: number): number => {
  const at = source.indexOf(needle, from);
  return at === -1 ? source.length : at + needle.length;
};

/** The index after the string or regular expression that opens at `start`; a line's end closes what was left open. */
const literalEnd = (source: string, start: number): number => {
  const quote = source[start];
  let inClass = false;
  for (let i = start + 1; i < source.length; i += 1) {
    const char = source[i];
    if (char === '\\') i += 1;
    else if (char === '\n') return i;
    else if (quote === '/' && char === '[') inClass = true;
    else if (quote === '/' && char === ']') inClass = false;
    else if (char === quote && !inClass) return i + 1;
  }
  return source.length;
};

/** The index after a stretch of template text: behind its closing backtick or its next `${`. */
const templateTextEnd = (source: string, start: number): number => {
  for (let i = start; i < source.length; i += 1) {
    if (source[i] === '\\') i += 1;
    else if (source[i] === '`') return i + 1;
    else if (source.startsWith('${', i)) return i + 2;
  }
  return source.length;
};

/**
 * The source with its comments (and, if asked, the text of its literals) replaced by spaces, so that what is searched
 * for in code is found in code alone. Positions and line numbers stay.
 */
export const maskSource = (source: string, { strings }: Mask): string => {
  let code = '';
  let depth = 0;
  /** The brace depths at which a template's `${…}` was entered. */
  const templates: number[] = [];
  for (let i = 0; i < source.length; ) {
    const char = source[i];
    let end = i + 1;
    let hide = false;
    if (source.startsWith('//', i)) {
      const line = source.indexOf('\n', i);
      end = line === -1 ? source.length : line;
      hide = true;
    } else if (source.startsWith('/*', i)) {
      end = indexAfter(source, '*/', i + 2);
      hide = true;
    } else if (char === "'" || char === '"' || (char === '/' && BEFORE_REGEX.test(code.slice(-LOOK_BACK)))) {
      end = literalEnd(source, i);
      hide = strings;
    } else if (char === '`' || (char === '}' && templates.at(-1) === depth)) {
      if (char === '}') templates.pop();
      end = templateTextEnd(source, i + 1);
      if (source.startsWith('${', end - 2)) templates.push(depth);
      hide = strings;
    } else if (char === '{') depth += 1;
    else if (char === '}') depth -= 1;
    const text = source.slice(i, end);
    code += hide ? blank(text) : text;
    i = end;
  }
  return code;
};
