import type { AuditEntry } from '../../../../machines/audit.ts';
import type { SessionContext } from '../../../../machines/session-context.ts';
import type { Json } from '../../../support/gateway.ts';
import type { Stage } from './stage.ts';

/** All that there is of a session. */
export interface World {
  /** As JSON, in order of `seq`. */
  readonly events: readonly string[];
  /** Actors as JSON, by kind and in order of their keys: the session, its clients, executions, shares and webhooks. */
  readonly actors: readonly string[];
  /** Those of the audit in which the session is named. */
  readonly records: readonly AuditEntry[];
  /** What its capabilities have used in all. */
  readonly used: number;
}

const KINDS = ['session', 'client', 'execution', 'share', 'webhook', 'delivery'] as const;
const ALL = { limit: 1_000 };

/** What a client's being there changes, whatever it asks for. */
const PRESENCE: ReadonlySet<string> = new Set(['last_active_at', 'idle_at', 'deadline', 'attached', 'waits']);

/**
 * What there is of a session now. Where `present` is said, without what tells that somebody is there: who calls in its own
 * session is.
 */
export const worldOf = async ({ on: { system } }: Stage, session: string, present = false): Promise<World> => {
  const id = session as never;
  const page = await system.reads.events(id, { after: 0, ...ALL });
  const actors = (await Promise.all(KINDS.map((kind) => system.reads.actors(id, kind, ALL)))).flat();
  const { items } = await system.reads.auditRecords({ after: 0, limit: Infinity });
  const root = actors[0]?.context as unknown as SessionContext | undefined;
  return {
    events: page.events,
    actors: actors.map(({ kind, state, ...actor }) =>
      JSON.stringify(
        { ...actor, kind, state: present && kind === 'client' && state !== 'left' ? 'there' : state },
        (name, value: unknown) => (present && PRESENCE.has(name) ? undefined : value),
      ),
    ),
    records: items.flatMap(({ text }) => (text.includes(session) ? [JSON.parse(text) as AuditEntry] : [])),
    used: Object.values(root?.ledger.meters ?? {}).reduce((sum, { used }) => sum + used, 0),
  };
};

/** The events of a session after those of `before`, parsed. */
export const eventsSince = ({ events }: World, before: World): Json[] =>
  events.slice(before.events.length).map((json) => JSON.parse(json));

export const recordsSince = ({ records }: World, before: World): readonly AuditEntry[] =>
  records.slice(before.records.length);
