import { addressOf } from '../machines/address.ts';
import type { SessionId } from '../machines/id.ts';
import { createAuditVerifier } from './audit-chain.ts';
import { createPageBuilder, PAGE_TEXT, pageLimit } from './event-page.ts';
import { compare, type MemoryActor, type MemoryDisk } from './memory-disk.ts';
import type { Reads, StoredActor, StoredAudit } from './reads.ts';

/** Reads of a disk in memory; `checkOpen` throws once its journal is closed. */
export const memoryReads = (disk: MemoryDisk, checkOpen: () => void): Reads => {
  const pick = (
    limit: number,
    after: string,
    matches: (actor: MemoryActor, kind: string) => boolean,
  ): StoredActor[] => {
    checkOpen();
    return [...disk.actors.values()]
      .filter((actor) => matches(actor, addressOf(actor.key).kind) && addressOf(actor.key).id > after)
      .toSorted((a, b) => compare(addressOf(a.key).id, addressOf(b.key).id))
      .slice(0, pageLimit(limit))
      .map(storedActor);
  };
  const byKey = (key: string | undefined): StoredActor | null => {
    const actor = key === undefined ? undefined : disk.actors.get(key);
    return actor === undefined ? null : storedActor(actor);
  };
  return {
    actor: async (key) => {
      checkOpen();
      return byKey(key);
    },
    actors: async (session, kind, { after = '', limit }) =>
      pick(limit, after, (actor, its) => its === kind && addressOf(actor.key).session === session),
    find: async (kind, id) => pick(1, '', (actor, its) => its === kind && addressOf(actor.key).id === id)[0] ?? null,
    alias: async (alias) => {
      checkOpen();
      return byKey(disk.aliases.get(alias));
    },
    labelled: async (kind, label, { after = '', limit }) =>
      pick(limit, after, (actor, its) => its === kind && actor.label === label),
    events: async (session: SessionId, { after, limit, types }) => {
      checkOpen();
      const { events: log, forgotten } = disk.sessions.get(session) ?? { events: [], forgotten: 0 };
      const last = forgotten + log.length;
      const page = createPageBuilder(after, limit);
      for (const [index, { type, json }] of log.entries()) {
        const seq = forgotten + index + 1;
        if (seq <= after) continue;
        if (types !== undefined && !types.includes(type)) page.pass(seq);
        else if (!page.add(seq, json)) return page.finish(forgotten + 1, last);
      }
      page.pass(last);
      return page.finish(forgotten + 1, last);
    },
    auditRecords: async ({ after, limit }) => {
      checkOpen();
      const items: StoredAudit[] = [];
      let room = PAGE_TEXT;
      for (const record of disk.audit.filter(({ n }) => n > after).slice(0, pageLimit(limit))) {
        if (items.length > 0 && record.text.length > room) break;
        items.push(record);
        room -= record.text.length;
      }
      const seen = items.at(-1)?.n ?? Number.POSITIVE_INFINITY;
      return { items, next: seen < (disk.audit.at(-1)?.n ?? 0) ? seen : null };
    },
    verifyAudit: async (head) => {
      checkOpen();
      const verifier = createAuditVerifier(disk.auditKey, head);
      verifier.begin(disk.checkpoint);
      for (const record of disk.audit) verifier.take(record);
      return verifier.finish();
    },
  };
};

const storedActor = ({ key, state, done, context }: MemoryActor): StoredActor => ({
  ...addressOf(key),
  key,
  state,
  done,
  context: JSON.parse(context) as Record<string, unknown>,
});
