import type { Problem } from '../../machines/error.ts';
import type { CheckedInputOf, OperationName } from '../operations/table.ts';
import type { Authority } from './authorise.ts';
import type { Identity } from './principals.ts';
import type { StoredActor } from '../../actors/reads.ts';

/** Where a call comes from; the bindings make it. */
export interface CallSource {
  readonly identity: Identity;
  /** Where it comes from, as logs and the audit name it. */
  readonly address: string;
  /** Aborted when nobody waits for the answer any more. Most calls never ask for it. */
  readonly signal: () => AbortSignal;
  /** Names the request in the ring, and in `causation_id` of what it causes. */
  readonly requestId: string;
  /** Set where a repeat must be answered alike (ring, rule 8). */
  readonly repeatKey?: string;
  /** From the caller's trace context (W3C Trace Context), if it has one. */
  readonly traceparent?: string;
}

/** A call within sight and allowed as far as its operation's right goes. */
export interface Call extends CallSource {
  /** The session it is about; absent for operations without one. */
  readonly authority: Authority;
  /**
   * What it is about besides its session, as it was when the call came in: an execution, a share, a webhook, a delivery,
   * or who holds the capability; absent for operations without such a thing.
   */
  readonly subject: StoredActor;
}

/** A successful answer: a value, JSON text that was stored as such, or a file. */
export type CallResult =
  | { readonly ok: true; readonly body: Readonly<Record<string, unknown>> }
  | { readonly ok: true; readonly json: string }
  | { readonly ok: true; readonly file: FileAnswer }
  | { readonly ok: false; readonly problem: Problem };

export interface FileAnswer {
  /** Absolute. */
  readonly path: string;
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly mediaType: string;
}

/** Does what an operation says, once the call is allowed. Throws only what is the server's own fault. */
export type Handler<Name extends OperationName> = (input: CheckedInputOf<Name>, call: Call) => Promise<CallResult>;

export type Handlers = { readonly [Name in OperationName]: Handler<Name> };

export const refuse = (problem: Problem): CallResult => ({ ok: false, problem });
export const answer = (body: object): CallResult => ({ ok: true, body: body as Readonly<Record<string, unknown>> });
