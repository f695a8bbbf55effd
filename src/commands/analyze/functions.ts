import { createBraceFinder } from './brace-functions.ts';
import type { FoundFunction, FunctionFinder } from './function-finder.ts';
import { createIndentFinder } from './indent-functions.ts';
import type { FunctionStyle } from './languages.ts';

/**
 * Finds functions by their shape, without a grammar: what opens a brace and looks like a function's head (TypeScript,
 * JavaScript, Go, Rust, the C family and its like), a `def` and what is indented under it (Python), or a `def` and the
 * `end` at its column (Ruby). Functions without a body of their own (arrows to an expression) are not counted; macros
 * that hide braces can mislead it, within their file, and a line above 64 KiB ends its search there.
 */
export const createFunctionFinder = (style: FunctionStyle, found: (one: FoundFunction) => void): FunctionFinder =>
  style === 'python' || style === 'ruby' ? createIndentFinder(style, found) : createBraceFinder(style, found);
