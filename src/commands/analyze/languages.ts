/** A string literal: where it opens (source of a regular expression) and the text that closes it. */
export interface StringSyntax {
  readonly open: string;
  readonly close: string;
  /** Whether a backslash takes the meaning of the next character. */
  readonly escapes: boolean;
  /** Whether it goes on over the line's end. */
  readonly multiline: boolean;
  /** `${…}` holds code. */
  readonly interpolates?: boolean;
  /** Counts as a comment where a statement could begin (Python's documentation strings). */
  readonly documents?: boolean;
}

/** How functions look: by braces (and which word or shape opens one), by indentation, or by `def … end`. */
export type FunctionStyle = 'script' | 'go' | 'keyword' | 'c' | 'python' | 'ruby';

/** What of a language's grammar decides whether a line is code, comment or blank. */
export interface Syntax {
  /** What opens a comment to the end of the line: sources of regular expressions. */
  readonly line?: readonly string[];
  /** What opens and closes a block comment: sources of regular expressions. */
  readonly block?: readonly (readonly [open: string, close: string])[];
  /** Whether block comments nest. */
  readonly nests?: boolean;
  readonly strings?: readonly StringSyntax[];
  /** Literals to pass over as a whole, where their text could be taken for something else. */
  readonly atoms?: readonly string[];
  /** Whether a slash may open a regular expression. */
  readonly regex?: boolean;
  readonly functions?: FunctionStyle;
}

export interface Language extends Syntax {
  readonly name: string;
}

const quoted = (quote: string): StringSyntax => ({ open: quote, close: quote, escapes: true, multiline: false });
const spanning = (open: string, close: string, escapes: boolean): StringSyntax => ({
  open,
  close,
  escapes,
  multiline: true,
});

const DOUBLE = quoted('"');
const SINGLE = quoted("'");
const TEMPLATE: StringSyntax = { ...spanning('`', '`', true), interpolates: true };
const TEXT_BLOCK = spanning('"""', '"""', true);
const SLASHES = ['\\/\\/'];
const HASH = ['#'];
/** In these a `#` inside a word is text. */
const LONE_HASH = ['(?<!\\S)#'];
const C_BLOCK = [['\\/\\*', '\\*\\/']] as const;
const MARKUP_BLOCK = [['<!--', '-->']] as const;
/** `'a'` and `'\n'`, but not the quote of a lifetime, a label or a prime. */
const CHARACTER = "'(?:\\\\(?:u\\{[^}']{0,8}\\}|x[0-9a-fA-F]{2}|.)|[^\\\\'])'";

const C: Syntax = { line: SLASHES, block: C_BLOCK, strings: [DOUBLE], atoms: [CHARACTER], functions: 'c' };
const SCRIPT: Syntax = {
  line: [...SLASHES, '^#!'],
  block: C_BLOCK,
  strings: [DOUBLE, SINGLE, TEMPLATE],
  regex: true,
  functions: 'script',
};
const JVM: Syntax = { ...C, strings: [TEXT_BLOCK, DOUBLE] };
const BRACES: Syntax = { ...JVM, nests: true, functions: 'keyword' };
const PYTHON: Syntax = {
  line: HASH,
  strings: [
    { ...spanning('(?<!\\w)[rRbBuUfF]{0,2}"""', '"""', true), documents: true },
    { ...spanning("(?<!\\w)[rRbBuUfF]{0,2}'''", "'''", true), documents: true },
    DOUBLE,
    SINGLE,
  ],
  functions: 'python',
};
const RUST: Syntax = {
  ...C,
  nests: true,
  strings: [
    spanning('\\br##"', '"##', false),
    spanning('\\br#"', '"#', false),
    spanning('\\br"', '"', false),
    spanning('"', '"', true),
  ],
  functions: 'keyword',
};
const MARKUP: Syntax = { block: MARKUP_BLOCK };
const STYLE: Syntax = { block: C_BLOCK, strings: [DOUBLE, SINGLE] };

/** Name, extensions and whole file names (in lower case), syntax. The first entry with an extension has it. */
const TABLE: readonly (readonly [name: string, files: string, syntax: Syntax])[] = [
  ['TypeScript', '.ts .mts .cts .tsx', SCRIPT],
  ['JavaScript', '.js .mjs .cjs .jsx', SCRIPT],
  ['Python', '.py .pyi .pyw', PYTHON],
  [
    'Go',
    '.go',
    {
      line: SLASHES,
      block: C_BLOCK,
      strings: [DOUBLE, spanning('`', '`', false)],
      atoms: [CHARACTER],
      functions: 'go',
    },
  ],
  ['Rust', '.rs', RUST],
  ['C', '.c .h', C],
  ['C++', '.cc .cpp .cxx .c++ .hh .hpp .hxx .ino', C],
  ['C#', '.cs', { ...C, strings: [TEXT_BLOCK, spanning('@"', '"', false), DOUBLE] }],
  ['Java', '.java', JVM],
  ['Kotlin', '.kt .kts', BRACES],
  ['Scala', '.scala .sc', BRACES],
  ['Swift', '.swift', BRACES],
  ['Dart', '.dart', { ...C, strings: [TEXT_BLOCK, spanning("'''", "'''", true), DOUBLE, SINGLE], atoms: [] }],
  ['Zig', '.zig', { line: SLASHES, strings: [DOUBLE], atoms: [CHARACTER], functions: 'keyword' }],
  [
    'PHP',
    '.php',
    {
      line: [...SLASHES, '#(?!\\[)'],
      block: C_BLOCK,
      strings: [spanning('"', '"', true), spanning("'", "'", true)],
      functions: 'keyword',
    },
  ],
  [
    'Ruby',
    '.rb .rake .gemspec gemfile rakefile',
    { line: HASH, block: [['^=begin\\b', '^=end\\b']], strings: [DOUBLE, SINGLE], functions: 'ruby' },
  ],
  ['Perl', '.pl .pm', { line: LONE_HASH, block: [['^=[a-zA-Z]', '^=cut\\b']] }],
  ['Shell', '.sh .bash .zsh .ksh', { line: LONE_HASH }],
  ['PowerShell', '.ps1 .psm1', { line: LONE_HASH, block: [['<#', '#>']] }],
  ['Lua', '.lua', { line: ['--'], block: [['--\\[\\[', '\\]\\]']], strings: [DOUBLE, SINGLE] }],
  ['R', '.r', { line: HASH, strings: [DOUBLE, SINGLE] }],
  ['Elixir', '.ex .exs', { line: HASH, strings: [{ ...TEXT_BLOCK }, DOUBLE] }],
  ['Erlang', '.erl .hrl', { line: ['%'], strings: [DOUBLE] }],
  [
    'Haskell',
    '.hs',
    {
      line: ['--(?![!#$%&*+./<=>?@^|~])'],
      block: [['\\{-', '-\\}']],
      nests: true,
      strings: [DOUBLE],
      atoms: [CHARACTER],
    },
  ],
  ['OCaml', '.ml .mli', { block: [['\\(\\*', '\\*\\)']], nests: true, strings: [DOUBLE], atoms: [CHARACTER] }],
  ['Clojure', '.clj .cljs .cljc', { line: [';'], strings: [spanning('"', '"', true)] }],
  ['SQL', '.sql', { line: ['--'], block: C_BLOCK, strings: [spanning("'", "'", false)] }],
  ['HTML', '.html .htm', MARKUP],
  ['XML', '.xml .svg .xsd .xsl', MARKUP],
  ['Vue', '.vue', { block: [...MARKUP_BLOCK, ...C_BLOCK], line: ['^\\s*\\/\\/'] }],
  ['Svelte', '.svelte', { block: [...MARKUP_BLOCK, ...C_BLOCK], line: ['^\\s*\\/\\/'] }],
  ['CSS', '.css', STYLE],
  ['SCSS', '.scss', { ...STYLE, line: ['(?<!:)\\/\\/'] }],
  ['Less', '.less', { ...STYLE, line: ['(?<!:)\\/\\/'] }],
  ['JSON', '.json', {}],
  ['JSON with comments', '.jsonc .json5', { line: SLASHES, block: C_BLOCK, strings: [DOUBLE] }],
  ['YAML', '.yml .yaml', { line: LONE_HASH }],
  [
    'TOML',
    '.toml',
    { line: HASH, strings: [spanning('"""', '"""', true), spanning("'''", "'''", false), DOUBLE, SINGLE] },
  ],
  ['INI', '.ini .cfg .conf .properties', { line: ['^\\s*[#;]'] }],
  ['Markdown', '.md .markdown', MARKUP],
  ['Dockerfile', '.dockerfile dockerfile containerfile', { line: ['^\\s*#'] }],
  ['Makefile', '.mk makefile gnumakefile', { line: LONE_HASH }],
  [
    'CMake',
    '.cmake cmakelists.txt',
    { line: HASH, block: [['#\\[\\[', '\\]\\]']], strings: [spanning('"', '"', true)] },
  ],
  ['Protocol Buffers', '.proto', { line: SLASHES, block: C_BLOCK, strings: [DOUBLE, SINGLE] }],
  ['GraphQL', '.graphql .gql', { line: HASH, strings: [TEXT_BLOCK, DOUBLE] }],
  ['Terraform', '.tf .tfvars', { line: [...SLASHES, '#'], block: C_BLOCK, strings: [DOUBLE] }],
];

const byFile = new Map<string, Language>();
for (const [name, files, syntax] of TABLE) {
  for (const file of files.split(' ')) byFile.set(file, { name, ...syntax });
}

/** The interpreter that a script names in its first line, by the extension of its language. */
const INTERPRETERS: readonly (readonly [RegExp, extension: string])[] = [
  [/\b(?:node|deno|bun)\b/, '.js'],
  [/\bpython/, '.py'],
  [/\bruby\b/, '.rb'],
  [/\bperl\b/, '.pl'],
  [/(?:\b|\/)(?:ba|z|k|da)?sh\b/, '.sh'],
];

/**
 * The language of a file by its name, else by the `#!` line of a name without an extension; null where it is none of
 * the table.
 */
export const languageOf = (path: string, firstLine: string): Language | null => {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  const dot = name.lastIndexOf('.');
  const known = dot === 0 ? undefined : (byFile.get(name) ?? (dot > 0 ? byFile.get(name.slice(dot)) : undefined));
  if (known !== undefined) return known;
  if (dot > 0 || !firstLine.startsWith('#!')) return null;
  const interpreter = INTERPRETERS.find(([pattern]) => pattern.test(firstLine));
  return interpreter === undefined ? null : (byFile.get(interpreter[1]) ?? null);
};
