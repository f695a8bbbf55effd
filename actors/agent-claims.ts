/**
 * Which runs of a thread have begun, in one 32-bit number shared with it: the number of the next run to begin. The thread
 * claims a run before it begins it; the pool takes back all that have not begun by moving the number past them. So both
 * always agree, also when the thread spins or is dead. Numbers wrap around.
 */
export const nextNumber = (n: number): number => (n + 1) | 0;

/** In the thread: whether run `n` may begin. */
export const claim = (words: Int32Array, n: number): boolean =>
  Atomics.compareExchange(words, 0, n, nextNumber(n)) === n;

/** In the pool: takes back every run from the returned number to before `next`, the number of the next run to be sent. */
export const withdraw = (words: Int32Array, next: number): number => Atomics.exchange(words, 0, next);

/** The number of the next run to begin. */
export const claimed = (words: Int32Array): number => Atomics.load(words, 0);
