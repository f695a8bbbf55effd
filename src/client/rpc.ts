import { ProblemError } from '../../machines/error.ts';
import { deadlinePassed, errorOf, problemIn, unreachable } from './failure.ts';

export interface RpcLimits {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs: number;
}

/** JSON-RPC 2.0 requests and their replies, over something that may lose either. */
export interface Rpc {
  /** Rejects with the problem of `error.data`, with `timed_out` at the deadline, or with `overloaded` at the bound. */
  call(method: string, params: unknown, limits: RpcLimits): Promise<unknown>;
  /** A reply, parsed. */
  receive(reply: unknown): void;
  /** Sends again what has no reply, under the same ids. */
  repeat(): void;
  /** Rejects all that waits. */
  fail(error: ProblemError): void;
}

export interface RpcOptions {
  /** Makes ids of this client different from those of others that use the same topics. */
  readonly idPrefix: string;
  /** May lose the request where there is no connection: it is repeated. */
  readonly send: (text: string) => void;
}

/** What the server takes of one client at once (contract, section 2, "Bounds"). */
const MAX_IN_FLIGHT = 64;

interface Waiting {
  readonly text: string;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export const createRpc = ({ idPrefix, send }: RpcOptions): Rpc => {
  const waiting = new Map<string, Waiting>();
  let count = 0;

  return {
    call: (method, params, { signal, timeoutMs }) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason as Error);
        if (waiting.size >= MAX_IN_FLIGHT)
          return reject(new ProblemError('overloaded', `${MAX_IN_FLIGHT} calls wait for their answer`));
        count += 1;
        const id = `${idPrefix}-${count}`;
        const end = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', abort);
          waiting.delete(id);
        };
        const abort = (): void => {
          end();
          reject(signal?.reason as Error);
        };
        const timer = setTimeout(() => {
          end();
          reject(deadlinePassed(method, timeoutMs));
        }, timeoutMs);
        signal?.addEventListener('abort', abort);
        const text = JSON.stringify({ jsonrpc: '2.0', id, method, params });
        waiting.set(id, {
          text,
          resolve: (value) => {
            end();
            resolve(value);
          },
          reject: (error) => {
            end();
            reject(error);
          },
        });
        send(text);
      }),
    receive: (reply) => {
      const { id, result, error } = (reply ?? {}) as { id?: unknown; result?: unknown; error?: { data?: unknown } };
      // Replies to other windows of this client, and second replies to repeated requests, find nobody.
      const call = typeof id === 'string' ? waiting.get(id) : undefined;
      if (call === undefined) return;
      if (error === undefined) return call.resolve(result);
      const answered = problemIn(error.data);
      call.reject(answered === null ? unreachable('the answer is an error without a problem') : errorOf(answered));
    },
    repeat: () => {
      for (const { text } of waiting.values()) send(text);
    },
    fail: (error) => {
      for (const call of waiting.values()) call.reject(error);
    },
  };
};
