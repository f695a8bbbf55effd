import type { Format } from './format.ts';

/** An event a line, as it is in the log, and nothing else. */
export const ndjson: Format = {
  mediaType: 'application/x-ndjson',
  write: async function* (_, pages) {
    for await (const events of pages) if (events.length > 0) yield `${events.join('\n')}\n`;
  },
};
