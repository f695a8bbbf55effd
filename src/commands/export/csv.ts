import { stringify } from 'csv-stringify/sync';
import type { Event } from '../../../machines/event.ts';
import type { Format } from './format.ts';

const COLUMNS = [
  'seq',
  'timestamp',
  'type',
  'severity',
  'principal',
  'client_id',
  'execution_id',
  'data',
  'id',
  'source',
  'correlation_id',
  'causation_id',
  'traceparent',
] as const;

const cells = ({ id, seq, type, timestamp, data, metadata }: Event): readonly (string | number | null)[] => {
  const { severity, principal, client_id, source, correlation_id, causation_id, traceparent } = metadata;
  const execution = typeof data['execution_id'] === 'string' ? data['execution_id'] : null;
  const who = [severity, principal, client_id] as const;
  const told = [source, correlation_id, causation_id, traceparent] as const;
  return [seq, timestamp, type, ...who, execution, JSON.stringify(data), id, ...told];
};

/** A line feed at the beginning is trimmed by some spreadsheets, and what follows read as the beginning. */
const LEADING_SPACE = /^[\s\0]+(?=[=+\-@\uff1d\uff0b\uff0d\uff20])/u;

/**
 * RFC 4180, with a header. `data` is JSON in one cell. A cell that a spreadsheet would take for a formula begins with `'`
 * (OWASP, "CSV Injection"): who reads it by machine takes that one character off again, or takes `ndjson`.
 */
const lines = (rows: readonly (readonly (string | number | null)[])[]): string =>
  stringify(rows as (string | number | null)[][], {
    record_delimiter: 'windows',
    escape_formulas: true,
    quoted_match: /[\r\n]/,
    cast: { string: (text) => (LEADING_SPACE.test(text) ? `'${text}` : text) },
  });

export const csv: Format = {
  mediaType: 'text/csv; charset=utf-8; header=present',
  write: async function* (_, pages) {
    yield lines([COLUMNS]);
    for await (const events of pages)
      if (events.length > 0) yield lines(events.map((text) => cells(JSON.parse(text) as Event)));
  },
};
