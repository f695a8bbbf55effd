import { createHttpClient, type Event } from '../client/index.ts';
import { EXIT } from './errors.ts';
import { createWho, eventLine } from './event-line.ts';
import { print } from './output.ts';
import { createPrompts } from './prompts.ts';
import type { Settings } from './settings.ts';
import { oneLine } from './text.ts';
import { standingLine } from './vote.ts';

export interface WatchFlags {
  /** The last `seq` that is not shown. */
  readonly after?: number;
  readonly json?: boolean;
  readonly untilClosed?: boolean;
  /** Whether somebody at the terminal is asked what the session asks; where there is one. */
  readonly prompt?: boolean;
}

/** Prints events as they come, one a line, up to the last or the one with `seq`. */
export const printEvents = async (
  events: AsyncIterable<Event>,
  json: boolean,
  seq = Infinity,
  onEvent: (event: Event) => void = () => {},
): Promise<void> => {
  const who = createWho();
  for await (const event of events) {
    await print(`${json ? JSON.stringify(event) : eventLine(event, who)}\n`);
    onEvent(event);
    if (event.seq >= seq) break;
  }
};

/** `arbor watch`: prints a session's events, one a line, those of the past first. Resolves with the exit code. */
export const watch = async (settings: Settings, session_id: string, flags: WatchFlags): Promise<number> => {
  const { after, json = false, untilClosed = false, prompt = true } = flags;
  const client = createHttpClient(settings);
  const { seq, status, coordinations } = await client.sessions.get({ session_id });
  const isOver = untilClosed && (status === 'closed' || status === 'expired');
  if (isOver && (after ?? 0) >= seq) return EXIT.ok;
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  process.once('SIGINT', interrupt);
  const { stdin: input, stderr: output } = process;
  const prompts =
    prompt && !json && input.isTTY && output.isTTY
      ? createPrompts({ client, input, output, onInterrupt: interrupt })
      : null;
  // What waits for an answer is there the moment that somebody comes.
  for (const question of coordinations) {
    if (prompts !== null) prompts.ask(question);
    else if (!json) process.stderr.write(`${standingLine(question)}: ${oneLine(question.description, 200)}\n`);
  }
  try {
    const from = after === undefined ? {} : { after };
    const events = client.follow({ session_id, ...from, untilClosed, signal: stop.signal });
    await printEvents(events, json, isOver ? seq : Infinity, (event) => event.seq > seq && prompts?.heard(event));
  } finally {
    prompts?.close();
    process.off('SIGINT', interrupt);
  }
  return stop.signal.aborted ? EXIT.interrupted : EXIT.ok;
};
