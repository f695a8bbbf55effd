import { MAX_WAIT } from './executions.ts';
import type { Operation, QueryKind } from './operation.ts';

/** A call over HTTP, before it is sent. `path` holds the query. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text. */
  readonly body?: string;
}

const PARAMETER = /\{(\w+)\}/g;

/** The input fields in an operation's path, in order. */
export const pathFields = (operation: Operation): string[] =>
  [...operation.http.path.matchAll(PARAMETER)].map((match) => match[1] as string);

/** Turns an operation's input into the request of its HTTP binding. Unset fields are left out. */
export const encodeHttpRequest = (operation: Operation, input: Readonly<Record<string, unknown>>): HttpRequest => {
  const { method, query = {}, prefer } = operation.http;
  const rest: Record<string, unknown> = { ...input };
  const path = operation.http.path.replace(PARAMETER, (_, field: string) => {
    const value: unknown = rest[field];
    delete rest[field];
    return encodeURIComponent(String(value));
  });
  const headers: Record<string, string> = {};
  const parameters = new URLSearchParams();
  for (const field of Object.keys(query)) {
    const value = rest[field];
    delete rest[field];
    if (value !== undefined)
      parameters.set(field, Array.isArray(value) ? value.join(',') : String(value as string | number | boolean));
  }
  if (prefer && typeof rest['wait'] === 'number') {
    headers['prefer'] = rest['wait'] === 0 ? 'respond-async' : `wait=${rest['wait']}`;
    delete rest['wait'];
  }
  const search = parameters.size > 0 ? `?${parameters.toString()}` : '';
  if (method !== 'POST') return { method, path: path + search, headers };
  headers['content-type'] = 'application/json';
  return { method, path: path + search, headers, body: JSON.stringify(rest) };
};

/** What an HTTP server has of a request. */
export interface ReceivedRequest {
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly prefer: string | undefined;
  readonly body: unknown;
}

const NUMBER = /^-?\d{1,15}(\.\d{1,9})?$/;

const valueOf = (kind: QueryKind, text: unknown): unknown => {
  if (typeof text !== 'string') return text;
  if (kind === 'number' && NUMBER.test(text)) return Number(text);
  if (kind === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
};

/** The input of a request: unchecked, for the operation's schema. The path wins over the query, the query over the body. */
export const decodeHttpRequest = (operation: Operation, received: ReceivedRequest): unknown => {
  const { body } = received;
  if (operation.http.method === 'POST' && (typeof body !== 'object' || body === null || Array.isArray(body)))
    return body;
  const input: Record<string, unknown> = operation.http.method === 'POST' ? { ...(body as object) } : {};
  const kinds = operation.http.query ?? {};
  for (const [field, text] of Object.entries(received.query)) {
    // A parameter that the binding does not have gets a name that no schema has, so that it is refused by its name.
    if (Object.hasOwn(kinds, field)) input[field] = valueOf(kinds[field] as QueryKind, text);
    else input[Object.hasOwn(input, field) ? `${field} (query)` : field] = text;
  }
  if (operation.http.prefer) {
    const wait = preferredWait(received.prefer);
    if (wait !== null) input['wait'] = wait;
  }
  return Object.assign(input, received.params);
};

/**
 * The seconds of `Prefer` (RFC 7240): `wait=N` is N, at most 60; `respond-async` alone is 0. Null where it says
 * nothing of it: what is not understood is to be ignored (section 2).
 */
export const preferredWait = (header: string | undefined): number | null => {
  if (header === undefined) return null;
  let async = false;
  for (const preference of header.split(',')) {
    const [name = '', value = ''] = (preference.split(';')[0] ?? '').split('=').map((part) => part.trim());
    if (name.toLowerCase() === 'respond-async') async = true;
    const seconds = value.replace(/^"(.*)"$/, '$1');
    if (name.toLowerCase() === 'wait' && /^\d{1,9}$/.test(seconds)) return Math.min(MAX_WAIT, Number(seconds));
  }
  return async ? 0 : null;
};
