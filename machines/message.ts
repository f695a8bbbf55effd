import type { Address } from './address.ts';
import type { Capability, ClientType } from './capability.ts';
import type { ArtifactInfo, CommandFacts } from './command.ts';
import type { Problem } from './error.ts';
import type { CapabilityId, ClientId, ExecutionId, SessionId } from './id.ts';

/** Who asks: `client_id` null is the owner with a key of its own, under the session's root capability. */
export interface Caller {
  readonly principal: string;
  readonly client_id: ClientId | null;
}

/** A client as the gateway has drawn it: ids and the SHA-256 of its token; the token itself never goes round. */
export interface NewClient {
  readonly client_id: ClientId;
  readonly type: ClientType;
  readonly name: string | null;
  readonly principal: string;
  readonly token_hash: string;
  readonly capabilities: readonly Capability[];
}

/** What a session's actor understands. */
export type SessionMessage =
  | {
      readonly type: 'session.open';
      readonly session_id: SessionId;
      readonly owner: string;
      readonly ttl_ms: number;
      readonly root_capability_id: CapabilityId;
      readonly client: NewClient;
    }
  | { readonly type: 'session.register'; readonly caller: Caller; readonly client: NewClient }
  | { readonly type: 'session.leave'; readonly caller: Caller; readonly client_id: ClientId }
  | { readonly type: 'session.close'; readonly caller: Caller }
  | {
      readonly type: 'session.execute';
      readonly caller: Caller;
      readonly execution_id: ExecutionId;
      readonly command: CommandFacts;
      readonly args: unknown;
      readonly timeout_ms: number;
      readonly priority: number;
      /** A place on the agent pool is reserved: the execution may start with its acceptance. */
      readonly reserved: boolean;
      readonly idempotency: { readonly key: string; readonly body_hash: string } | null;
      /** What the key is known to stand for; filled in by the shard, never by a sender. */
      readonly known?: { readonly execution_id: ExecutionId; readonly body_hash: string };
    }
  | { readonly type: 'session.cancel'; readonly caller: Caller; readonly execution_id: ExecutionId }
  | { readonly type: 'client.presence'; readonly client_id: ClientId; readonly attached: boolean }
  | { readonly type: 'client.gone'; readonly client_id: ClientId }
  /** An execution has left the agents' queue, or has come back to it. */
  | { readonly type: 'execution.changed'; readonly execution_id: ExecutionId; readonly queued: boolean }
  | { readonly type: 'execution.ended'; readonly execution_id: ExecutionId };

/** What a client's actor understands. */
export type ClientMessage =
  | { readonly type: 'client.open'; readonly session_id: SessionId; readonly client: NewClient }
  | { readonly type: 'client.attach' }
  | { readonly type: 'client.detach' }
  /** `reason` where the session ends with all its clients: nobody is left to hear of this one, and nobody asks. */
  | { readonly type: 'client.leave'; readonly reason?: 'session_ended' };

/** What an execution's actor understands. Agents' messages carry the attempt they speak of (ring, rule 7). */
export type ExecutionMessage =
  | {
      readonly type: 'execution.accept';
      readonly session_id: SessionId;
      readonly execution_id: ExecutionId;
      readonly command: CommandFacts;
      readonly args: unknown;
      readonly caller: Caller;
      readonly capability_id: CapabilityId;
      readonly timeout_ms: number;
      readonly priority: number;
      readonly reserved: boolean;
      readonly idempotency_key: string | null;
    }
  | { readonly type: 'execution.start' }
  | {
      readonly type: 'execution.progress';
      readonly attempt: number;
      readonly progress: number;
      readonly message: string | null;
      readonly metadata: Record<string, unknown>;
    }
  | {
      readonly type: 'execution.output';
      readonly attempt: number;
      readonly stream: 'stdout' | 'stderr';
      readonly chunk: string;
    }
  | {
      readonly type: 'execution.complete';
      readonly attempt: number;
      /** Inline up to 16 KiB; a larger one is the artifact `result`. */
      readonly result: unknown;
      readonly artifacts: readonly ArtifactInfo[];
    }
  | {
      readonly type: 'execution.fail';
      readonly attempt: number;
      readonly problem: Problem;
      readonly retryable: boolean;
      readonly artifacts: readonly ArtifactInfo[];
    }
  /** `by` is null where the session ends it: then nobody waits for a reply. */
  | { readonly type: 'execution.cancel'; readonly by: Caller | null };

export type Message = SessionMessage | ClientMessage | ExecutionMessage;

/** What the host adds to each message before the machine sees it: the turn's time and one draw of the injected randomness. */
export interface Taken {
  /** Milliseconds since the epoch by the injected clock. */
  readonly at: number;
  /** From 0 to below 1. */
  readonly random: number;
}

/** A deadline that the machine has set in its context has come. */
export interface DeadlineMessage {
  readonly type: 'deadline';
}

/**
 * What travels to an actor's inbox. `request` is present where somebody waits for a reply; it goes along with what the
 * receiver sends on in the same turn, so that any actor of the chain may answer.
 */
export interface Envelope {
  readonly to: Address;
  readonly message: { readonly type: string };
  /** Creates the actor when there is none; the sender has just drawn its id. */
  readonly fresh?: boolean;
  readonly request?: RequestRef;
  readonly meta?: EnvelopeMeta;
}

export interface RequestRef {
  readonly id: string;
  /** Set where a repeat must be answered alike (ring, rule 8): unique within the session. */
  readonly repeat_key?: string;
}

export interface EnvelopeMeta {
  readonly principal: string | null;
  readonly client_id: ClientId | null;
  readonly correlation_id: string | null;
  readonly traceparent: string | null;
}
