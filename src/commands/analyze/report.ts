import type { AnalyzeResult } from './result.ts';

const number = new Intl.NumberFormat('en-US');

/** A cell's text: nothing in a file's name may end the cell, the line or the code span. */
const escapeCell = (text: string): string => text.replace(/[\r\n\t]+/g, ' ').replace(/[\\|`*_[\]<>]/g, '\\$&');

const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string => {
  if (rows.length === 0) return 'None.\n';
  // A column of numbers is aligned to the right.
  const rule = head.map((_, i) => (typeof rows[0]?.[i] === 'number' ? '---:' : '---'));
  const body = rows.map((row) =>
    row.map((cell) => (typeof cell === 'number' ? number.format(cell) : escapeCell(cell))),
  );
  return [head, rule, ...body].map((cells) => `| ${cells.join(' | ')} |\n`).join('');
};

/** The result as a Markdown document. */
export const markdownReport = (result: AnalyzeResult): string => {
  const { files, bytes, lines } = result;
  const all = lines.code + lines.comment + lines.blank;
  return [
    `# Analysis of ${escapeCell(result.path)}`,
    `${number.format(files)} files, ${number.format(bytes)} bytes, ${number.format(all)} lines: ` +
      `${number.format(lines.code)} code, ${number.format(lines.comment)} comment, ${number.format(lines.blank)} blank.`,
    '## Languages',
    table(
      ['Language', 'Files', 'Code', 'Comment', 'Blank'],
      result.languages.map(({ name, files: count, code, comment, blank }) => [name, count, code, comment, blank]),
    ),
    '## Largest files',
    table(
      ['File', 'Bytes'],
      result.largest_files.map(({ path, bytes: size }) => [path, size]),
    ),
    '## Largest functions',
    table(
      ['Function', 'File', 'Line', 'Lines'],
      result.largest_functions.map(({ name, path, line, lines: length }) => [name, path, line, length]),
    ),
    '## Not counted by line',
    table(
      ['Reason', 'Count', 'For example'],
      result.skipped.map(({ reason, count, paths }) => [reason, count, paths.join(', ')]),
    ),
  ]
    .map((part) => `${part.trimEnd()}\n`)
    .join('\n');
};
