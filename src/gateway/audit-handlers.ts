import { z } from 'zod';
import { timestamp } from '../../machines/event.ts';
import { AUDIT_TYPES, type AuditEntry } from '../../machines/audit.ts';
import type { AuditRecord, AuditVerdict } from '../operations/audit.ts';
import { answer, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';

const entrySchema = z.object({
  type: z.enum(AUDIT_TYPES),
  at: z.int(),
  session_id: z.string().nullable(),
  principal: z.string().nullable(),
  client_id: z.string().nullable(),
  data: z.record(z.string(), z.unknown()),
});

const entryOf = (text: string): AuditEntry | null => {
  try {
    return entrySchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
};

/** What somebody has changed may be no entry any more: it is shown as such, and `audit.verify` names it. */
const UNREADABLE = { type: 'unreadable', at: 0, session_id: null, principal: null, client_id: null, data: {} } as const;

const recordView = (n: number, mac: string, text: string): AuditRecord => {
  const { at, ...entry } = entryOf(text) ?? UNREADABLE;
  return { n, ...entry, data: { ...entry.data }, timestamp: timestamp(at), mac };
};

/** The audit, for operators. */
export const auditHandlers = ({
  system: { reads },
}: Pick<GatewayContext, 'system'>): Pick<Handlers, 'audit.list' | 'audit.verify'> => ({
  'audit.list': async ({ after, limit }) => {
    const { items, next } = await reads.auditRecords({ after, limit });
    return answer({ items: items.map(({ n, mac, text }) => recordView(n, mac, text)), next });
  },

  'audit.verify': async ({ head }) => {
    const [n = '', mac = ''] = head?.split(':') ?? [];
    const verdict = await reads.verifyAudit(head === undefined ? undefined : { n: Number(n), mac });
    const { valid, records, head: last, first, firstBad } = verdict;
    return answer({
      valid,
      records,
      head: last,
      ...(first === undefined ? {} : { first }),
      ...(firstBad === undefined ? {} : { first_bad: firstBad }),
    } satisfies AuditVerdict);
  },
});
