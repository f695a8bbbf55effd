import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { FoundFunction } from './function-finder.ts';
import { languageOf } from './languages.ts';
import { createLineCounter, linesOf, type LineCount } from './line-counter.ts';

/** Why a file's lines are not counted, or an entry is not a file at all. */
export const SKIP_REASONS = ['symlink', 'special', 'unreadable', 'too_large', 'binary', 'unknown_language'] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

export type FileAnalysis =
  /** `bytes` is null where it is not known that this is a file. */
  | { readonly skipped: SkipReason; readonly bytes: number | null }
  | { readonly skipped: null; readonly bytes: number; readonly language: string; readonly lines: LineCount };

/** Lines are counted up to this size; above it a file counts with its bytes alone. */
const MAX_COUNTED_BYTES = 8 * 1024 * 1024;
/** Git takes a file with a NUL among its first 8,000 bytes for binary. */
const BINARY_BYTES = 8_000;
/** Lines between two looks at the signal. */
const LINES_AT_ONCE = 10_000;
const BYTE_ORDER_MARK = 'ï»¿';

/** The first `bytes` of a file, or as many as there are. */
const readStart = async (file: FileHandle, bytes: number): Promise<Buffer> => {
  const buffer = Buffer.allocUnsafe(bytes);
  let filled = 0;
  while (filled < bytes) {
    const { bytesRead } = await file.read(buffer, filled, bytes - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
};

type Contents =
  | { readonly skipped: SkipReason; readonly bytes: number | null }
  | { readonly skipped: null; readonly bytes: number; readonly text: string };

/**
 * Text is read as Latin-1, a byte a character: what separates code from comment is ASCII in every language of the table,
 * and UTF-8 never has ASCII bytes in other characters.
 */
const readText = async (path: string): Promise<Contents> => {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags);
  try {
    const entry = await file.stat();
    if (!entry.isFile()) return { skipped: 'special', bytes: null };
    const bytes = entry.size;
    const tooLarge = bytes > MAX_COUNTED_BYTES;
    const content = await readStart(file, tooLarge ? BINARY_BYTES : bytes);
    if (content.subarray(0, BINARY_BYTES).includes(0)) return { skipped: 'binary', bytes };
    if (tooLarge) return { skipped: 'too_large', bytes };
    const text = content.toString('latin1');
    return { skipped: null, bytes, text: text.startsWith(BYTE_ORDER_MARK) ? text.slice(BYTE_ORDER_MARK.length) : text };
  } finally {
    await file.close();
  }
};

const utf8 = (latin1: string): string => Buffer.from(latin1, 'latin1').toString('utf8');

/**
 * Reads one file and counts its lines; calls `found` for each of its functions. A file that cannot be read is reported
 * as skipped. Throws the signal's reason once it is aborted.
 */
export const analyzeFile = async (
  path: string,
  signal: AbortSignal,
  found: (one: FoundFunction) => void,
): Promise<FileAnalysis> => {
  let contents: Contents;
  try {
    contents = await readText(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    return { skipped: 'unreadable', bytes: null };
  }
  if (contents.skipped !== null) return contents;
  const { bytes, text } = contents;
  const language = languageOf(path, text.slice(0, 200).split('\n', 1)[0] ?? '');
  if (language === null) return { skipped: 'unknown_language', bytes };
  const counter = createLineCounter(language, (one) => found({ ...one, name: utf8(one.name) }));
  let lines = 0;
  for (const line of linesOf(text)) {
    if ((lines += 1) % LINES_AT_ONCE === 0) {
      await setImmediate();
      signal.throwIfAborted();
    }
    counter.line(line);
  }
  return { skipped: null, bytes, language: language.name, lines: counter.end() };
};
