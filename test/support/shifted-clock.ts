/**
 * Preloaded into a process, this moves its wall clock: what takes a week can be seen in a second. The server reads the
 * wall once, at its start, for all of its threads.
 */
const VARIABLE = 'TEST_CLOCK_AHEAD_MS';

const ahead = Number(process.env[VARIABLE] ?? 0);
if (ahead !== 0) {
  const wall = Date.now.bind(Date);
  Date.now = () => wall() + ahead;
}

/** The environment of a process whose clock is `ms` ahead of this one's. */
export const clockAhead = (ms: number): Record<string, string> => ({
  NODE_OPTIONS: `--import=${import.meta.url}`,
  [VARIABLE]: String(Math.round(ms)),
});
