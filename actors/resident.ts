import { addressKey, addressOf } from '../machines/address.ts';
import type { Catalogue, CatalogueEntry } from '../machines/catalogue.ts';
import type { Effect } from '../machines/effect.ts';
import { createHosted, type Hosted, type HostedContext } from './hosted.ts';
import type { StoredContext } from '../machines/migrations.ts';
import { REMEMBERED_LIMIT, type Loaded, type LoadedActor } from './journal.ts';

/**
 * A session in memory: the shard's record of it and those of its actors that were touched. `seq` belongs to the record,
 * so that even the failure of the session's own actor can be logged.
 */
export interface Resident {
  readonly session: string;
  readonly shard: number;
  seq: number;
  readonly actors: Map<string, Hosted>;
  /** Answers that a repeat gets alike (ring, rule 8): JSON by key, oldest first. */
  readonly remembered: Map<string, string>;
  /** When each of its actors was restarted lately; kept while the session is in memory. */
  readonly restarts: Map<string, readonly number[]>;
}

/** A session nobody has heard of. */
export const createResident = (session: string, shard: number): Resident => ({
  session,
  shard,
  seq: 0,
  actors: new Map(),
  remembered: new Map(),
  restarts: new Map(),
});

/** What was stored of an actor, brought up to date where another version of its machine has stored it (promise 16). */
const contextOf = ({ version, state, context }: LoadedActor, { version: current, migrate }: CatalogueEntry) => {
  const stored = JSON.parse(context) as HostedContext & StoredContext;
  return version === current || migrate === undefined ? stored : (migrate(version, state, stored) as typeof stored);
};

/** Wakes a session from what the journal has of it. Actors of a kind that is not in the catalogue stay asleep. */
export const wakeResident = (
  loaded: Loaded,
  shard: number,
  catalogue: Catalogue,
  onEffect: (effect: Effect) => void,
): Resident => {
  const resident = createResident(loaded.session, shard);
  resident.seq = loaded.seq;
  for (const [key, json] of loaded.remembered) resident.remembered.set(key, json);
  for (const stored of loaded.actors) {
    const address = addressOf(stored.key);
    const entry = catalogue[address.kind];
    if (entry === undefined) continue;
    const standing = { value: stored.state, context: contextOf(stored, entry) };
    resident.actors.set(
      stored.key,
      createHosted(address, stored.key, entry, { standing, ended: stored.done }, onEffect),
    );
  }
  return resident;
};

/** Keeps an answer; the oldest beyond the bound is forgotten. Answers the way back; the latest is gone first. */
export const remember = (resident: Resident, key: string, json: string): (() => void) => {
  const { remembered } = resident;
  const before = remembered.get(key);
  remembered.set(key, json);
  const [oldest] = remembered.size > REMEMBERED_LIMIT ? remembered : [];
  if (oldest !== undefined) remembered.delete(oldest[0]);
  return () => {
    if (before === undefined) remembered.delete(key);
    else remembered.set(key, before);
    if (oldest === undefined) return;
    const others = [...remembered];
    remembered.clear();
    for (const [each, answer] of [oldest, ...others]) remembered.set(each, answer);
  };
};

/** Whether what is hosted is the session's own actor, which stays when it has ended: late requests want an answer. */
export const isOwnActor = (resident: Resident, hosted: Hosted): boolean =>
  hosted.key === addressKey({ session: resident.session as never, kind: 'session', id: resident.session });

export const sleep = (resident: Resident): void => {
  for (const hosted of resident.actors.values()) hosted.stop();
};
