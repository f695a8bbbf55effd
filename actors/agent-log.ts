import type { HandlerLog } from './agent-messages.ts';

const FLUSH_MS = 100;
const MAX_LINES = 500;
/** Characters of a line, fields included. */
const MAX_LENGTH = 8 * 1024;

export interface LineLog {
  add(message: string, fields?: Record<string, unknown>): void;
  flush(): void;
}

/** What JSON cannot hold is no reason to fail the run. */
const asJson = (message: string, fields: Record<string, unknown>): string | null => {
  try {
    return JSON.stringify({ message, fields });
  } catch {
    return null;
  }
};

/** Log lines in batches of at most 500, ten a second: a handler that logs in a loop loses lines, which are counted. */
export const createLineLog = (send: (lines: readonly HandlerLog[], dropped: number) => void): LineLog => {
  let lines: HandlerLog[] = [];
  let dropped = 0;
  let timer: NodeJS.Timeout | undefined;

  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (lines.length === 0) return;
    send(lines, dropped);
    lines = [];
    dropped = 0;
  };

  return {
    add: (message, fields = {}) => {
      const text = lines.length < MAX_LINES ? asJson(message, fields) : null;
      if (text === null || text.length > MAX_LENGTH) dropped += 1;
      else lines.push(JSON.parse(text) as HandlerLog);
      timer ??= setTimeout(flush, FLUSH_MS);
    },
    flush,
  };
};
