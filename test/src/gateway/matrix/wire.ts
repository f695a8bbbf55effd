import { encodeHttpRequest } from '../../../../src/operations/http-request.ts';
import { statusOf, type Operation } from '../../../../src/operations/operation.ts';
import { repliesTopic, requestsTopic } from '../../../../machines/topic.ts';
import { CONNECT, dialTcp, publish, subscribe, type WireClient } from '../../../support/mqtt-wire.ts';
import type { Json } from '../../../support/gateway.ts';
import type { Caller } from './scene.ts';
import type { Stage } from './stage.ts';
import type { Way } from './oracle.ts';

/** What a call was answered with, in whatever way it was made. */
export interface Reply {
  /** Null where it was answered with a result. */
  readonly problem: Json;
  /** The answer as it came, but for what is another with every answer; of a reply over MQTT, of a refusal only. */
  readonly shown: string;
  /** The result as text; empty where it was answered with none. */
  readonly result: string;
  /** What of it the table of operations forbids. */
  readonly astray: string | null;
}

/** Headers that say nothing about what was asked for. */
const PASSING: ReadonlySet<string> = new Set(['date']);

const isProblemType = (headers: Headers): boolean =>
  headers.get('content-type')?.startsWith('application/problem+json') ?? false;

/** What a status and its body are not, though the table says so. */
const strays = (operation: Operation, status: number, body: Json): string | null => {
  const schema = operation.http.answers[status];
  if (schema === undefined) return `a status that it does not have: ${status}`;
  if (operation.http.binary) return null;
  const checked = schema.safeParse(body);
  return checked.success ? null : `another shape: ${checked.error.message}`;
};

const replyOf = (operation: Operation, status: number, headers: Headers, text: string, body: Json): Reply => {
  const shown = JSON.stringify([status, [...headers].filter(([name]) => !PASSING.has(name)), text]);
  return isProblemType(headers)
    ? { problem: body, shown, result: '', astray: body?.status === status ? null : `${status} over the problem’s own` }
    : { problem: null, shown, result: text, astray: strays(operation, status, body) };
};

export const overHttp = async (
  { on }: Stage,
  operation: Operation,
  input: Record<string, unknown>,
  token: string | null,
  instead?: string,
): Promise<Reply> => {
  const { method, path, headers, body } = encodeHttpRequest(operation, input);
  const answer = await on.call(method, path, { token, headers, body: instead ?? body });
  return replyOf(operation, answer.status, answer.headers, answer.text, answer.body);
};

export const overStream = async (
  { on }: Stage,
  operation: Operation,
  input: Record<string, unknown>,
  token: string | null,
): Promise<Reply> => {
  const { method, path } = encodeHttpRequest(operation, input);
  const answer = await fetch(on.url + path, {
    method,
    headers: { accept: 'text/event-stream', ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
  });
  if (answer.headers.get('content-type')?.startsWith('text/event-stream')) {
    await answer.body?.cancel();
    return {
      problem: null,
      shown: String(answer.status),
      result: '',
      astray: answer.status === 200 ? null : 'a stream',
    };
  }
  const text = await answer.text();
  return replyOf(operation, answer.status, answer.headers, text, JSON.parse(text));
};

export interface Login {
  readonly clientId: string;
  readonly username?: string;
  readonly password?: string;
}

/** A connection that has logged in, or the code with which it was refused (MQTT 3.1.1, table 3.1). */
export const dial = async ({ mqttPort }: Stage, login: Login): Promise<WireClient | number> => {
  const wire = await dialTcp(mqttPort);
  wire.send({ ...CONNECT, ...login });
  const { returnCode } = await wire.expect('connack');
  return returnCode === 0 ? wire : Number(returnCode);
};

export const loginOf = ({ token, client }: Caller): Login => ({
  clientId: client.client_id,
  username: client.client_id,
  ...(token === null ? {} : { password: token }),
});

/** JSON-RPC of one client. */
export interface Line {
  ask(operation: Operation, input: object): Promise<Reply>;
  close(): void;
}

export const openLine = async (stage: Stage, caller: Caller): Promise<Line> => {
  const { session_id, client_id } = caller.client;
  const wire = await dial(stage, loginOf(caller));
  if (typeof wire === 'number') throw new Error(`the login was refused with ${wire}`);
  await subscribe(wire, { [repliesTopic(session_id, client_id)]: 0 });
  let last = 0;
  return {
    ask: async (operation, params) => {
      const id = (last += 1);
      const request = { jsonrpc: '2.0', id, method: operation.name, params };
      wire.send(publish(requestsTopic(session_id, client_id), JSON.stringify(request)));
      const packet = await wire.expect('publish');
      const { id: answered, result, error, ...more } = JSON.parse(String(packet['payload'])) as Json;
      const shown = JSON.stringify([error, more]);
      if (answered !== id) throw new Error(`a reply to ${String(answered)}, not to ${id}`);
      if (error !== undefined)
        return {
          problem: error.data,
          shown,
          result: '',
          astray: error.message === error.data.title ? null : 'another message',
        };
      const strayed = strays(operation, statusOf(operation, result), result);
      return { problem: null, shown, result: JSON.stringify(result), astray: strayed };
    },
    close: () => wire.destroy(),
  };
};

/** Makes a call; over MQTT on a connection of its own. */
export const call = async (
  stage: Stage,
  way: Way,
  operation: Operation,
  input: Record<string, unknown>,
  caller: Caller,
): Promise<Reply> => {
  if (way === 'http') return overHttp(stage, operation, input, caller.token);
  if (way === 'stream') return overStream(stage, operation, input, caller.token);
  const line = await openLine(stage, caller);
  try {
    return await line.ask(operation, input);
  } finally {
    line.close();
  }
};
