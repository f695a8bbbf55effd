import Table from 'cli-table3';
import { oneLine, printable } from './text.ts';

type Row = Readonly<Record<string, unknown>>;

/** Widest column of a table, in characters. */
const CELL = 60;
/** Rows that a table shows; the rest is counted. */
const ROWS = 50;

const isRow = (value: unknown): value is Row => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Numbers as `12,345`, nothing as nothing, lists of words with commas, and what else is nested as JSON. */
const cell = (value: unknown): string => {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return value.toLocaleString('en-US', { maximumFractionDigits: 3 });
  if (Array.isArray(value) && value.length === 0) return 'none';
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return oneLine(value.join(', '), CELL);
  return oneLine(typeof value === 'string' ? value : JSON.stringify(value), CELL);
};

const BARE = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** Rows as a table without frames, so that other programs can read it too. Columns in the order of first appearance. */
export const renderTable = (rows: readonly Row[], columns?: readonly string[]): string => {
  // A column of objects would be a column of cut JSON; `--json` has it whole.
  const names =
    columns ??
    [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => !rows.every((row) => isRow(row[name])));
  const shown = rows.slice(0, ROWS);
  const isNumeric = (name: string): boolean =>
    shown.some((row) => typeof row[name] === 'number') &&
    shown.every((row) => typeof row[name] === 'number' || row[name] === null || row[name] === undefined);
  const table = new Table({
    head: names.map((name) => printable(name).replaceAll('_', ' ')),
    chars: BARE,
    colAligns: names.map((name) => (isNumeric(name) ? 'right' : 'left')),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  table.push(...shown.map((row) => names.map((name) => cell(row[name]))));
  const text = table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
  return rows.length > shown.length ? `${text}\n… and ${rows.length - shown.length} more` : text;
};

/** A result as people read it: text as it is, lists of objects as tables, an object as its fields. */
export const renderResult = (value: unknown): string => {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return printable(value);
  if (Array.isArray(value)) {
    if (value.length > 0 && value.every(isRow)) return renderTable(value);
    return value.map((item) => (isRow(item) ? JSON.stringify(item) : renderResult(item))).join('\n');
  }
  if (!isRow(value)) return cell(value);
  const entries = Object.entries(value);
  const isLarge = (field: unknown): boolean =>
    (Array.isArray(field) && field.length > 0 && field.every(isRow)) ||
    (isRow(field) && Object.keys(field).length > 0) ||
    (typeof field === 'string' && (field.length > CELL || field.includes('\n')));
  const small = entries.filter(([, field]) => !isLarge(field));
  const width = Math.max(0, ...small.map(([name]) => name.length));
  const parts =
    small.length === 0
      ? []
      : [small.map(([name, field]) => `${title(name).padEnd(width)}  ${cell(field)}`.trimEnd()).join('\n')];
  for (const [name, field] of entries.filter(([, each]) => isLarge(each)))
    parts.push(`${title(name)}\n${indent(renderResult(field))}`);
  return parts.join('\n\n');
};

const title = (name: string): string => printable(name).replaceAll('_', ' ');
const indent = (text: string): string => text.replace(/^(?=.)/gm, '  ');
