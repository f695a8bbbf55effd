import { problem } from '../../machines/error.ts';
import { repliesTopic } from '../../machines/topic.ts';
import { operationOf, type OperationName } from '../operations/table.ts';
import { refuse, type CallResult } from './call.ts';
import type { Calls } from './calls.ts';
import type { GatewayContext } from './context.ts';
import { parseRequest, rpcError, rpcResult, type RpcRequest } from './json-rpc.ts';
import type { GatewayMetrics } from './metrics.ts';
import type { ClientIdentity } from './principals.ts';

/** JSON-RPC over a client's `requests` and `replies` (contract, section 3). */
export interface MqttRpc {
  /** Takes a request of a client that has logged in. The reply is published when it is there. */
  take(identity: ClientIdentity, payload: Uint8Array, from: RequestOrigin): void;
}

export interface RequestOrigin {
  /** Ends the waiting for an answer. */
  readonly signal: AbortSignal;
  readonly address: string;
}

export interface MqttRpcOptions {
  readonly context: Pick<GatewayContext, 'system' | 'limits' | 'facts'>;
  readonly calls: Calls;
  readonly metrics: GatewayMetrics;
  readonly onError: (error: unknown) => void;
}

export const createMqttRpc = ({ context, calls, metrics, onError }: MqttRpcOptions): MqttRpc => {
  const { system, limits, facts } = context;
  const inFlight = new Map<string, number>();

  const reply = ({ client }: ClientIdentity, text: string): void =>
    void system.bus.publish(repliesTopic(client.session_id, client.client_id), text, { qos: 1 }).catch(onError);

  const callOf = async (
    { client: { client_id } }: ClientIdentity,
    { method, id, params }: RpcRequest,
    { signal, address }: RequestOrigin,
  ): Promise<CallResult> => {
    const operation = operationOf(method);
    if (operation === null || !operation.bindings.includes('mqtt'))
      return refuse(problem('method_not_found', 'there is no such operation'));
    // As it is now: since it logged in its capabilities may have become fewer.
    const client = await facts.client(client_id);
    if (client === null) return refuse(problem('unauthenticated', 'the client is not in the session'));
    const { session_id, principal } = client;
    const identity: ClientIdentity = { kind: 'client', principal, client };
    const input = operation.sight === 'session' ? { session_id, ...(params as object) } : params;
    return calls.call(method as OperationName, input, {
      identity,
      address,
      signal: () => signal,
      requestId: system.newId('request'),
      // Text and number are different ids, so the key holds the id as JSON.
      ...(operation.mutating ? { repeatKey: `rpc:${client_id}:${JSON.stringify(id)}` } : {}),
    });
  };

  return {
    take: (identity, payload, from) => {
      const parsed = parseRequest(payload);
      if (!parsed.ok) return reply(identity, parsed.response);
      const { id, method } = parsed.request;
      const { client_id } = identity.client;
      const waiting = inFlight.get(client_id) ?? 0;
      if (waiting >= limits.inFlight)
        return reply(
          identity,
          rpcError(id, problem('overloaded', `${waiting} requests wait for their answer`, { retry_after: 1 })),
        );
      inFlight.set(client_id, waiting + 1);
      const started = performance.now();
      void callOf(identity, parsed.request, from).then((result) => {
        const left = (inFlight.get(client_id) ?? 1) - 1;
        if (left === 0) inFlight.delete(client_id);
        else inFlight.set(client_id, left);
        const status = result.ok ? 200 : result.problem.status;
        metrics.answered('mqtt', operationOf(method)?.name ?? 'unknown', status, (performance.now() - started) / 1000);
        if (!result.ok) return reply(identity, rpcError(id, result.problem));
        if ('file' in result)
          return reply(identity, rpcError(id, problem('method_not_found', 'offered over HTTP only')));
        return reply(identity, rpcResult(id, 'json' in result ? result.json : JSON.stringify(result.body)));
      }, onError);
    },
  };
};
