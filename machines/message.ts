import type { Address } from './address.ts';
import type { Capability, ClientType } from './capability.ts';
import type { ArtifactInfo, CommandFacts } from './command.ts';
import type { Problem } from './error.ts';
import type { CapabilityId, ClientId, CoordinationId, ExecutionId, SessionId, ShareId, WebhookId } from './id.ts';
import type { Attenuation } from './attenuate.ts';
import type { Confirmation, Elector, Question, Vote } from './question.ts';
import type { DeliveryMessage, NewWebhook, WebhookMessage } from './webhook-message.ts';
import type { Asked, Recorded } from './step.ts';

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
  /** The share by whose token it has joined; absent for those that were registered. */
  readonly via_share?: ShareId;
}

/** A share as the gateway has drawn it; its token never goes round. */
export interface NewShare {
  readonly share_id: ShareId;
  readonly capability_id: CapabilityId;
  readonly token_hash: string;
  readonly label: string | null;
  readonly asked: Attenuation;
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
      readonly webhook?: NewWebhook;
    }
  | {
      readonly type: 'session.register';
      readonly caller: Caller;
      readonly client: NewClient;
      readonly webhook?: NewWebhook;
    }
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
      /** Nobody waits for the end: then a webhook may have to carry it out (contract, section 6, step 7). */
      readonly unattended: boolean;
      /** An endpoint for this execution alone. */
      readonly webhook?: NewWebhook;
      readonly idempotency: { readonly key: string; readonly body_hash: string } | null;
      /** What the key is known to stand for; filled in by the shard, never by a sender. */
      readonly known?: { readonly execution_id: ExecutionId; readonly body_hash: string };
    }
  | { readonly type: 'session.cancel'; readonly caller: Caller; readonly execution_id: ExecutionId }
  | { readonly type: 'session.share'; readonly caller: Caller; readonly share: NewShare }
  | { readonly type: 'session.unshare'; readonly caller: Caller; readonly share_id: ShareId }
  /** `client` comes without capabilities: it gets the share's. */
  | { readonly type: 'session.join'; readonly share_id: ShareId; readonly client: NewClient }
  | { readonly type: 'session.revoke'; readonly caller: Caller; readonly capability_id: CapabilityId }
  | { readonly type: 'session.webhook'; readonly caller: Caller; readonly webhook: NewWebhook }
  /** An endpoint has ended, or was deleted. */
  | { readonly type: 'webhook.gone'; readonly webhook_id: WebhookId }
  /** The gateway has refused `count` calls of this client for the same reason. */
  | {
      readonly type: 'session.violated';
      readonly caller: Caller;
      readonly operation: string;
      readonly reason: string;
      readonly count: number;
    }
  | {
      readonly type: 'session.ask';
      readonly caller: Caller;
      readonly coordination_id: CoordinationId;
      readonly question: Question;
    }
  | {
      readonly type: 'session.vote';
      readonly caller: Caller;
      readonly coordination_id: CoordinationId;
      readonly vote: Vote;
      readonly comment: string | null;
    }
  | {
      readonly type: 'session.retract';
      readonly caller: Caller;
      readonly coordination_id: CoordinationId;
      /** Who asked, which never changes. */
      readonly requested_by: Caller;
    }
  /** The handler of an execution asks; `details` has no secrets any more. */
  | {
      readonly type: 'session.confirm';
      readonly execution_id: ExecutionId;
      readonly requester: Caller;
      readonly coordination_id: CoordinationId;
      readonly question: Question;
      readonly details: unknown;
    }
  | { readonly type: 'coordination.ended'; readonly coordination_id: CoordinationId }
  | { readonly type: 'client.presence'; readonly client_id: ClientId; readonly attached: boolean }
  | { readonly type: 'client.gone'; readonly client_id: ClientId }
  /** An execution has left the agents' queue, or has come back to it. */
  | { readonly type: 'execution.changed'; readonly execution_id: ExecutionId; readonly queued: boolean }
  /** `charged` are the capabilities whose limits it was charged to. */
  | { readonly type: 'execution.ended'; readonly execution_id: ExecutionId; readonly charged: readonly string[] };

/** What a client's actor understands. */
export type ClientMessage =
  | { readonly type: 'client.open'; readonly session_id: SessionId; readonly client: NewClient }
  | { readonly type: 'client.attach' }
  | { readonly type: 'client.detach' }
  /** Some of its capabilities have ended; these are left. */
  | { readonly type: 'client.narrow'; readonly capabilities: readonly Capability[] }
  /**
   * `reason` where nobody asks for it: the session ends with all its clients, so that nobody is left to hear of this one,
   * or its last capability to read has ended.
   */
  | { readonly type: 'client.leave'; readonly reason?: 'session_ended' | 'revoked' };

/** What a share's actor understands. */
export type ShareMessage =
  | {
      readonly type: 'share.open';
      readonly session_id: SessionId;
      readonly share: NewShare;
      readonly capability: Capability;
      readonly issuer: Caller;
    }
  | { readonly type: 'share.end'; readonly reason: ShareEnd };

export type ShareEnd = 'revoked' | 'expired' | 'session_ended';

/** What an execution's actor understands. Agents' messages carry the start they speak of (ring, rule 7). */
export type ExecutionMessage =
  | {
      readonly type: 'execution.accept';
      readonly session_id: SessionId;
      readonly execution_id: ExecutionId;
      readonly command: CommandFacts;
      readonly args: unknown;
      readonly caller: Caller;
      readonly capability_id: CapabilityId;
      /** The capabilities whose limits it was charged to. */
      readonly charged: readonly string[];
      readonly timeout_ms: number;
      readonly priority: number;
      readonly reserved: boolean;
      /** The question that has to be confirmed before it may start. */
      readonly confirmation?: CoordinationId;
      readonly idempotency_key: string | null;
    }
  | { readonly type: 'execution.start' }
  /** A question that it waits for has its outcome. */
  | { readonly type: 'execution.confirmed'; readonly confirmation: Confirmation }
  | {
      readonly type: 'execution.progress';
      readonly start: number;
      readonly progress: number;
      readonly message: string | null;
      readonly metadata: Record<string, unknown>;
    }
  | {
      readonly type: 'execution.output';
      readonly start: number;
      readonly stream: 'stdout' | 'stderr';
      readonly chunk: string;
    }
  /** Something that is not run again; durable before the handler goes on. */
  | {
      readonly type: 'execution.step';
      readonly start: number;
      readonly step: Recorded;
      readonly artifacts: readonly ArtifactInfo[];
    }
  /** The handler waits for these. Once `suspended` its run has ended, and it is run again when the first of them comes. */
  | {
      readonly type: 'execution.wait';
      readonly start: number;
      readonly asked: readonly Asked[];
      readonly suspended: boolean;
      readonly artifacts: readonly ArtifactInfo[];
    }
  | {
      readonly type: 'execution.complete';
      readonly start: number;
      /** Inline up to 16 KiB; a larger one is the artifact `result`. */
      readonly result: unknown;
      readonly artifacts: readonly ArtifactInfo[];
    }
  | {
      readonly type: 'execution.fail';
      readonly start: number;
      readonly problem: Problem;
      readonly retryable: boolean;
      readonly artifacts: readonly ArtifactInfo[];
    }
  /** `by` is null where the session ends it: then nobody waits for a reply. */
  | { readonly type: 'execution.cancel'; readonly by: Caller | null }
  /** These capabilities are revoked: what was accepted under one of them is cancelled. */
  | { readonly type: 'execution.revoke'; readonly capability_ids: readonly string[] };

/** What a question's actor understands. */
export type CoordinationMessage =
  | {
      readonly type: 'coordination.open';
      readonly session_id: SessionId;
      readonly coordination_id: CoordinationId;
      readonly question: Question;
      readonly details: unknown;
      readonly requester: Elector;
      readonly execution_id: ExecutionId | null;
      readonly electorate: readonly Elector[];
    }
  | {
      readonly type: 'coordination.vote';
      readonly elector: Elector;
      readonly vote: Vote;
      readonly comment: string | null;
    }
  /** Who may write now. */
  | { readonly type: 'coordination.electorate'; readonly electors: readonly Elector[] }
  /** `by` is null where nobody waits for a reply. */
  | { readonly type: 'coordination.cancel'; readonly by: Caller | null; readonly reason: string | null };

export type Message =
  | CoordinationMessage
  | SessionMessage
  | ClientMessage
  | ShareMessage
  | ExecutionMessage
  | WebhookMessage
  | DeliveryMessage;

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
