import type { ScannedLine } from './line-scanner.ts';

/** A function as it stands in its file: `line` where it begins, from 1; `lines` from there to its end. */
export interface FoundFunction {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
}

/** Is given each line of a file, then the end. */
export interface FunctionFinder {
  line(number: number, scanned: ScannedLine): void;
  end(): void;
}
