import { problem, type Problem } from '../../machines/error.ts';

/** A JSON-RPC 2.0 request with an id; notifications and batches are not taken (contract, section 3). */
export interface RpcRequest {
  readonly id: string | number;
  readonly method: string;
  readonly params: unknown;
}

export type ParsedRequest =
  | { readonly ok: true; readonly request: RpcRequest }
  /** The response to what is no request. */
  | { readonly ok: false; readonly response: string };

const MAX_ID = 200;

/** JSON-RPC's own codes (specification, section 5.1); all other problems are -32000. */
const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
const CODES: Readonly<Record<string, number>> = {
  method_not_found: -32601,
  invalid_input: -32602,
  internal: -32603,
};

export const parseRequest = (payload: Uint8Array): ParsedRequest => {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch {
    return refused(PARSE_ERROR, 'the payload is not valid JSON', '', null);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return refused(INVALID_REQUEST, 'expected one JSON-RPC 2.0 request', '', null);
  const { jsonrpc, id, method, params = {} } = value as Record<string, unknown>;
  if (!(typeof id === 'string' ? id.length > 0 && id.length <= MAX_ID : Number.isSafeInteger(id)))
    return refused(INVALID_REQUEST, `expected an id: a whole number, or text of 1 to ${MAX_ID} characters`, 'id', null);
  const known = id as string | number;
  if (jsonrpc !== '2.0') return refused(INVALID_REQUEST, 'expected jsonrpc "2.0"', 'jsonrpc', known);
  if (typeof method !== 'string') return refused(INVALID_REQUEST, 'expected a method', 'method', known);
  if (typeof params !== 'object' || params === null || Array.isArray(params))
    return refused(INVALID_REQUEST, 'expected params by name', 'params', known);
  return { ok: true, request: { id: known, method, params } };
};

const refused = (code: number, detail: string, field: string, id: string | number | null): ParsedRequest => {
  const data = problem('invalid_input', detail, { errors: [{ field, expected: detail }] });
  return { ok: false, response: JSON.stringify({ jsonrpc: '2.0', id, error: { code, message: data.title, data } }) };
};

/** The response with a result that is JSON text already. */
export const rpcResult = (id: string | number, resultJson: string): string =>
  `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${resultJson}}`;

export const rpcError = (id: string | number, data: Problem): string =>
  JSON.stringify({ jsonrpc: '2.0', id, error: { code: CODES[data.code] ?? -32000, message: data.title, data } });
