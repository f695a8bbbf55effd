import { createHttpClient, type Event } from '../client/index.ts';
import { EXIT } from './errors.ts';
import { createWho, eventLine } from './event-line.ts';
import { print } from './output.ts';
import type { Settings } from './settings.ts';

export interface WatchFlags {
  /** The last `seq` that is not shown. */
  readonly after?: number;
  readonly json?: boolean;
  readonly untilClosed?: boolean;
}

/** Prints events as they come, one a line, up to the last or the one with `seq`. */
export const printEvents = async (events: AsyncIterable<Event>, json: boolean, seq = Infinity): Promise<void> => {
  const who = createWho();
  for await (const event of events) {
    await print(`${json ? JSON.stringify(event) : eventLine(event, who)}\n`);
    if (event.seq >= seq) break;
  }
};

/** `arbor watch`: prints a session's events, one a line, those of the past first. Resolves with the exit code. */
export const watch = async (settings: Settings, session_id: string, flags: WatchFlags): Promise<number> => {
  const { after, json = false, untilClosed = false } = flags;
  const client = createHttpClient(settings);
  const { seq, status } = await client.sessions.get({ session_id });
  const isOver = untilClosed && (status === 'closed' || status === 'expired');
  if (isOver && (after ?? 0) >= seq) return EXIT.ok;
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  process.once('SIGINT', interrupt);
  try {
    const from = after === undefined ? {} : { after };
    const events = client.follow({ session_id, ...from, untilClosed, signal: stop.signal });
    await printEvents(events, json, isOver ? seq : Infinity);
  } finally {
    process.off('SIGINT', interrupt);
  }
  return stop.signal.aborted ? EXIT.interrupted : EXIT.ok;
};
