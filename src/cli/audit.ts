import type { AuditRecord } from '../operations/audit.ts';
import { createHttpClient } from '../client/index.ts';
import { EXIT } from './errors.ts';
import { print } from './output.ts';
import { PAGE } from './pages.ts';
import type { Settings } from './settings.ts';
import { oneLine } from './text.ts';

/** Widest short form of a record's data, in characters. */
const DATA = 110;
const TYPE = 'capability_revoked'.length;
/** The whole chain is read, which takes as long as it is. */
const VERIFY_MS = 300_000;

const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** A record on one line: number, time (UTC), type, who, session, and the gist of its data. */
export const auditLine = ({ n, timestamp, type, principal, client_id, session_id, data }: AuditRecord): string => {
  const fields = Object.entries(data).filter(([, value]) => value !== null);
  const who = [principal, client_id].filter((each) => each !== null).join(' ');
  return [
    String(n).padStart(6),
    timestamp.slice(0, 23).replace('T', ' '),
    type.padEnd(TYPE),
    oneLine(who, 100) || '-',
    session_id ?? '-',
    oneLine(fields.map(([name, value]) => `${name}=${text(value)}`).join(' '), DATA),
  ]
    .join('  ')
    .trimEnd();
};

/** `arbor audit`: prints the records, one a line. Resolves with the exit code. */
export const listAudit = async (
  settings: Settings,
  flags: { readonly after?: number; readonly json?: boolean },
): Promise<number> => {
  const client = createHttpClient(settings);
  for (let after: number | null = flags.after ?? 0; after !== null; ) {
    const page: { readonly items: readonly AuditRecord[]; readonly next: number | null } = await client.audit.list({
      after,
      limit: PAGE,
    });
    for (const record of page.items) await print(`${flags.json ? JSON.stringify(record) : auditLine(record)}\n`);
    after = page.next;
  }
  return EXIT.ok;
};

/** `arbor audit verify`: checks the chain of the audit. Resolves with the exit code: 1 where it is broken. */
export const verifyAudit = async (
  settings: Settings,
  flags: { readonly head?: string; readonly json?: boolean },
): Promise<number> => {
  const verdict = await createHttpClient(settings).audit.verify(flags.head === undefined ? {} : { head: flags.head }, {
    timeoutMs: VERIFY_MS,
  });
  const { valid, records, head, first, first_bad } = verdict;
  if (flags.json) process.stdout.write(`${JSON.stringify(verdict)}\n`);
  else if (valid)
    process.stdout.write(`valid, ${records} records${first === undefined ? '' : ` from ${first} on`}, head ${head}\n`);
  else {
    const what = first_bad === undefined ? 'it' : `record ${first_bad}`;
    process.stderr.write(
      `arbor: the audit is not valid: ${what} was changed or removed; ${records} records, head ${head}\n`,
    );
  }
  return valid ? EXIT.ok : EXIT.failed;
};
