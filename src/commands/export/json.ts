import type { Format } from './format.ts';

/** One document, `{session, export, events: […]}`, an event a line. */
export const json: Format = {
  mediaType: 'application/json',
  write: async function* ({ session, ...about }, pages) {
    yield `{"session":${JSON.stringify(session)},\n"export":${JSON.stringify(about)},\n"events":[`;
    let before = '\n';
    for await (const events of pages) {
      if (events.length === 0) continue;
      yield before + events.join(',\n');
      before = ',\n';
    }
    yield '\n]}\n';
  },
};
