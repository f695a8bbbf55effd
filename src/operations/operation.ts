import type { z } from 'zod';
import type { ErrorCode } from '../../machines/error.ts';

/** Over which bindings an operation is offered; HTTP and MQTT JSON-RPC alike unless said otherwise. */
export type Binding = 'http' | 'mqtt';

/**
 * What an operation is about, hence whose sight decides between 404 and more (contract, section 6, step 2): nothing
 * that exists yet, the session of `session_id`, or the session in which the execution of `execution_id` runs, or that the
 * share of `share_id`, the capability of `capability_id`, the question of `coordination_id`, the webhook of `webhook_id` or
 * the delivery of `delivery_id` belongs to.
 */
export type Sight = 'none' | 'session' | 'execution' | 'share' | 'capability' | 'coordination' | 'webhook' | 'delivery';

/**
 * What the caller needs beyond sight (contract, section 2, column "needs"):
 * `principal` an API key, not the token of a client; `authenticated` any credentials; `read` and `write` a capability with that operation;
 * `owner` the session's owner; `owner_or_self` the owner, or the client that `client_id` names; `write_or_starter`
 * `write`, or having started the execution; `command` what the named command declares; `owner_or_sharer` the owner, or a
 * capability with `may_share`; `owner_or_issuer` the owner, or who made the share; `owner_or_requester` the owner, or who asked the question; `share_token` the token of a share in the
 * input, with or without credentials; `operator` an operator's API key.
 */
export type Right =
  | 'principal'
  | 'authenticated'
  | 'read'
  | 'write'
  | 'owner'
  | 'owner_or_self'
  | 'write_or_starter'
  | 'command'
  | 'owner_or_sharer'
  | 'owner_or_issuer'
  | 'owner_or_requester'
  | 'share_token'
  | 'operator';

/** How the text of a query parameter becomes a value; text that does not fit stays text, for the schema to refuse. */
export type QueryKind = 'text' | 'number' | 'boolean';

export interface HttpBinding {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** `{field}` stands for that input field, percent-encoded. */
  readonly path: string;
  /** Input fields that travel in the query; the rest of a POST's fields is its JSON body. */
  readonly query?: Readonly<Record<string, QueryKind>>;
  /** Whether `Prefer: wait=N` and `respond-async` (RFC 7240) stand for the field `wait`. */
  readonly prefer?: boolean;
  /** The schema of each successful status. `output` accepts exactly what one of them accepts. */
  readonly answers: Readonly<Record<number, z.ZodType>>;
  /** Which status an output has; needed where there are several. */
  readonly status?: (output: Record<string, unknown>) => number;
  /** `Location` of an output: what was made, or where to ask on. */
  readonly location?: (output: Record<string, unknown>) => string | null;
  /** Also offered as `text/event-stream`, chosen by `Accept`. */
  readonly stream?: boolean;
  /** The answer is bytes with a media type of their own instead of JSON. */
  readonly binary?: boolean;
}

export interface Operation<
  Name extends string = string,
  Input extends z.ZodType = z.ZodType,
  Output extends z.ZodType = z.ZodType,
> {
  /** `noun.verb`: the JSON-RPC method and the OpenAPI `operationId`. */
  readonly name: Name;
  readonly summary: string;
  /** Every field of every binding in one strict object. */
  readonly input: Input;
  readonly output: Output;
  readonly sight: Sight;
  readonly right: Right;
  /** Changes something: over MQTT a repeat of (client, request id) is answered alike. */
  readonly mutating: boolean;
  readonly bindings: readonly Binding[];
  readonly http: HttpBinding;
  /** The errors besides `COMMON_ERRORS`. */
  readonly errors: readonly ErrorCode[];
}

/** Errors that any operation may answer. */
export const COMMON_ERRORS = [
  'invalid_input',
  'unauthenticated',
  'rate_limited',
  'internal',
  'overloaded',
  'unavailable',
  'timed_out',
] as const satisfies readonly ErrorCode[];

type Declaration<Name extends string, Input extends z.ZodType, Output extends z.ZodType> = Omit<
  Operation<Name, Input, Output>,
  'bindings' | 'mutating' | 'errors'
> & { readonly bindings?: readonly Binding[]; readonly errors?: readonly ErrorCode[] };

/** Declares an operation. Whatever is no `GET` changes something. */
export const defineOperation = <const Name extends string, Input extends z.ZodType, Output extends z.ZodType>(
  declaration: Declaration<Name, Input, Output>,
): Operation<Name, Input, Output> => ({
  ...declaration,
  bindings: declaration.bindings ?? ['http', 'mqtt'],
  errors: declaration.errors ?? [],
  mutating: declaration.http.method !== 'GET',
});

/** The status of a successful answer over HTTP. */
export const statusOf = (operation: Operation, output: Record<string, unknown>): number =>
  operation.http.status?.(output) ?? Number(Object.keys(operation.http.answers)[0]);
