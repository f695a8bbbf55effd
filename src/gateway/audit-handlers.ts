import { timestamp } from '../../machines/event.ts';
import type { AuditEntry } from '../../machines/audit.ts';
import type { AuditRecord, AuditVerdict } from '../operations/audit.ts';
import { answer, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';

const recordView = (n: number, mac: string, text: string): AuditRecord => {
  const { type, at, session_id, principal, client_id, data } = JSON.parse(text) as AuditEntry;
  return { n, type, timestamp: timestamp(at), session_id, principal, client_id, data: { ...data }, mac };
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
    const { valid, records, head: last, firstBad } = verdict;
    return answer({
      valid,
      records,
      head: last,
      ...(firstBad === undefined ? {} : { first_bad: firstBad }),
    } satisfies AuditVerdict);
  },
});
