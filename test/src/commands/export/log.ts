import type { Event, EventType } from '../../../../machines/event.ts';
import type { ExportFormat } from '../../../../src/operations/export-formats.ts';
import type { ExportHead } from '../../../../src/commands/export/format.ts';
import { FORMATS } from '../../../../src/commands/export/formats.ts';

/** Sessions as they would be exported, made by hand. */

const SESSION = 'ses_01K0000000000000000000ABCD';
export const ADA = 'cli_01K0000000000000000000AAAA';
export const EXE = 'exe_01K0000000000000000000EEEE';

type Metadata = Event['metadata'];

const metadata: Metadata = {
  source: 'session',
  severity: 'info',
  principal: null,
  client_id: null,
  correlation_id: null,
  causation_id: null,
  traceparent: null,
};

/** What is said of an event; a type that this release does not know is told as well. */
export type Told = readonly [type: EventType | (string & {}), data: Event['data'], more?: Partial<Metadata>];

/** The events of a log, a second after one another. */
export const logOf = (told: readonly Told[]): Event[] =>
  told.map(([type, data, more], index) => ({
    id: `evt_${index + 1}`,
    seq: index + 1,
    session_id: SESSION,
    type: type as EventType,
    timestamp: new Date(Date.UTC(2026, 0, 31, 12, 0, index)).toISOString(),
    data,
    metadata: { ...metadata, ...more },
  }));

export const headOf = (events: readonly Event[], owner = 'ada'): ExportHead => ({
  session: { session_id: SESSION, owner, status: 'active', created_at: '2026-01-31T12:00:00.000Z' },
  exported_at: '2026-01-31T13:00:00.000Z',
  first_seq: 1,
  last_seq: events.length,
  types: null,
});

/** The whole export, in parts of so many events. */
export const written = async (
  format: ExportFormat,
  events: readonly Event[],
  head = headOf(events),
  part = 3,
): Promise<string> => {
  const pages = async function* () {
    for (let at = 0; at < events.length; at += part)
      yield events.slice(at, at + part).map((event) => JSON.stringify(event));
  };
  let text = '';
  for await (const piece of FORMATS[format].write(head, pages())) text += piece;
  return text;
};
