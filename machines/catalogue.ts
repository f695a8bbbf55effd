import type { AnyStateMachine } from 'xstate';
import { client, clientFailure } from './client.ts';
import { coordination, coordinationFailure } from './coordination.ts';
import type { Effect } from './effect.ts';
import { execution, executionFailure } from './execution.ts';
import { migrateClient, migrateExecution, migrateSession } from './migrations.ts';
import type { StoredContext } from './migrations.ts';
import { recallKey, session, sessionFailure } from './session.ts';
import type { ClientContext } from './client.ts';
import { delivery, deliveryFailure } from './delivery.ts';
import type { Envelope } from './message.ts';
import { overheard } from './session-webhooks.ts';
import type { Fact } from './session-webhooks.ts';
import { share } from './share.ts';
import type { ShareContext } from './share.ts';
import { webhook, webhookFailure } from './webhook.ts';

/** One kind of actor. */
export interface CatalogueEntry {
  readonly machine: AnyStateMachine;
  /** Written beside each snapshot: a snapshot of another version needs a migration before it restores. */
  readonly version: number;
  /** Brings a context that an older version has stored up to date; pure, and told the state in which it was stored. */
  readonly migrate?: (version: number, state: string, context: StoredContext) => StoredContext;
  /** The type of the message that creates such an actor. */
  readonly openedBy: string;
  /** The key under which a message of this kind may be known already; what is known goes along as `known`. */
  readonly recalls?: (message: { readonly type: string }) => string | null;
  /** Further ids by which such an actor can be found. One that was given once stays. */
  readonly aliases?: (context: never) => readonly string[];
  /** What is still to be said when such an actor is given up; `context` is its last, `at` in ms since the epoch. */
  readonly failure?: (context: never, at: number) => readonly Effect[];
  /**
   * Of a session's own actor: the messages that follow from an event of the session, whichever of its actors has said it.
   * They are taken in the turn that makes the event; nobody waits for an answer to them.
   */
  readonly overhears?: (context: never, fact: Fact) => readonly Pick<Envelope, 'to' | 'message'>[];
}

/** Every kind of actor there is, by its name in addresses. */
export type Catalogue = Readonly<Record<string, CatalogueEntry>>;

/** The ids of capabilities lead to whom they were given to. */
const held = ({ capabilities }: ClientContext): readonly string[] => capabilities.map(({ id }) => id);
const given = ({ capability }: ShareContext): readonly string[] => [capability.id];

export const catalogue: Catalogue = {
  session: {
    machine: session,
    version: 3,
    migrate: migrateSession,
    openedBy: 'session.open',
    recalls: recallKey,
    failure: sessionFailure,
    overhears: overheard,
  },
  client: {
    machine: client,
    version: 2,
    migrate: migrateClient,
    openedBy: 'client.open',
    aliases: held,
    failure: clientFailure,
  },
  coordination: {
    machine: coordination,
    version: 1,
    openedBy: 'coordination.open',
    failure: coordinationFailure,
  },
  share: { machine: share, version: 1, openedBy: 'share.open', aliases: given },
  execution: {
    machine: execution,
    version: 3,
    migrate: migrateExecution,
    openedBy: 'execution.accept',
    failure: executionFailure,
  },
  webhook: { machine: webhook, version: 1, openedBy: 'webhook.open', failure: webhookFailure },
  delivery: { machine: delivery, version: 1, openedBy: 'delivery.open', failure: deliveryFailure },
};
