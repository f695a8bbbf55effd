import { addressOf } from '../machines/address.ts';
import { checkpointFor } from './audit-chain.ts';
import type { Pruned, PruneLimits } from './journal.ts';
import type { MemoryActor, MemoryDisk } from './memory-disk.ts';

const isOwn = ({ key }: MemoryActor): boolean => addressOf(key).kind === 'session';
const sessionOf = ({ key }: MemoryActor): string => addressOf(key).session;

/** `Journal.prune` on a disk in memory: all that is too old goes at once. */
export const pruneDisk = (disk: MemoryDisk, { before, auditBefore, unlinked = [] }: PruneLimits): Pruned => {
  for (const execution of unlinked) disk.unlinking.delete(execution);
  const counts = { sessions: 0, actors: 0, events: 0, records: 0 };
  const actors = [...disk.actors.values()];
  const isOld = ({ ended }: MemoryActor): boolean => ended !== null && ended <= before;
  const alive = new Set(actors.filter(({ done }) => !done).map(sessionOf));
  const gone = new Set(
    actors
      .filter((actor) => isOwn(actor) && isOld(actor))
      .map(sessionOf)
      .filter((session) => !alive.has(session) && (disk.sessions.get(session)?.until ?? 0) <= before),
  );
  for (const actor of actors) {
    if (!gone.has(sessionOf(actor)) && (!isOld(actor) || isOwn(actor))) continue;
    disk.actors.delete(actor.key);
    for (const [alias, key] of disk.aliases) if (key === actor.key) disk.aliases.delete(alias);
    const { kind, id } = addressOf(actor.key);
    if (kind === 'execution') disk.unlinking.add(id);
    counts.actors += 1;
  }
  for (const [session, known] of disk.sessions) {
    const isGone = gone.has(session);
    const left = isGone ? [] : known.events.filter(({ until }) => until > before);
    counts.events += known.events.length - left.length;
    known.forgotten += known.events.length - left.length;
    known.events = left;
    known.remembered = known.remembered.filter(([, , until]) => until > before);
    if (isGone) disk.sessions.delete(session);
  }
  counts.sessions = gone.size;

  const checkpoint = checkpointFor(disk.auditKey, disk.checkpoint, disk.audit, auditBefore);
  if (checkpoint !== null) {
    const left = disk.audit.filter(({ n }) => n > checkpoint.n);
    counts.records = disk.audit.length - left.length;
    disk.audit = left;
    disk.checkpoint = checkpoint;
  }
  const there = new Set([...disk.actors.values()].map(({ key }) => addressOf(key).id));
  const unlink = [...disk.unlinking].filter((execution) => !there.has(execution));
  return { counts, unlink, more: Object.values(counts).some((count) => count > 0) };
};
