import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Aedes } from 'aedes';
import { problem, ProblemError, type Problem } from '../../../machines/error.ts';
import type { Event, EventType } from '../../../machines/event.ts';
import { eventTopic, repliesTopic, requestsTopic } from '../../../machines/topic.ts';
import { decodeHttpRequest, pathFields } from '../../../src/operations/http-request.ts';
import { statusOf, type Operation } from '../../../src/operations/operation.ts';
import { OPERATION_TABLE, type CheckedInputOf, type OperationName } from '../../../src/operations/table.ts';

export const SESSION = 'ses_01K0000000000000000000ABCD';
export const CLIENT = 'cli_01K0000000000000000000ABCD';
export const EXECUTION = 'exe_01K0000000000000000000ABCD';
export const TOKEN = 'a-token';

/** Answers an operation: a value, or a `ProblemError`. */
export type FakeHandlers = { [Name in OperationName]?: (input: CheckedInputOf<Name>, token: string) => unknown };

export interface FakeRequest {
  readonly id: string;
  readonly method: string;
  readonly params: unknown;
}

/** A gateway without a ring: the bindings of the table over a log in memory, and faults at will. */
export interface FakeGateway {
  readonly http: string;
  readonly mqtt: string;
  readonly log: readonly Event[];
  /** The MQTT requests that came, repeats included. */
  readonly requests: readonly FakeRequest[];
  handlers: FakeHandlers;
  /** The next so many streams are answered 503. */
  refuseStreams: number;
  /** The most events on one page. */
  pageLimit: number;
  /** Takes MQTT requests and says nothing. */
  mute: boolean;
  /** Grants no subscription to events. */
  blind: boolean;
  append(type: EventType, data?: Record<string, unknown>): Event;
  streams(): number;
  cutStreams(): void;
  cutMqtt(): void;
  close(): Promise<void>;
}

const listen = (server: Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)));

const bodyOf = async (request: IncomingMessage): Promise<unknown> => {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk as string;
  return text === '' ? undefined : JSON.parse(text);
};

const routes = (Object.entries(OPERATION_TABLE) as [OperationName, Operation][]).map(([name, operation]) => ({
  name,
  operation,
  pattern: new RegExp(`^${operation.http.path.replace(/\{\w+\}/g, '([^/]+)')}$`),
}));

export const createFakeGateway = async (handlers: FakeHandlers = {}): Promise<FakeGateway> => {
  const log: Event[] = [];
  const requests: FakeRequest[] = [];
  const open = new Set<ServerResponse>();

  const page = ({ after, limit }: { after: number; limit: number }) => {
    const first = log[0]?.seq ?? 1;
    if (first > after + 1)
      throw new ProblemError('cursor_expired', `the first event left has seq ${first}`, { more: { first } });
    const rest = log.filter(({ seq }) => seq > after);
    const events = rest.slice(0, Math.min(limit, gateway.pageLimit));
    return { events, next: events.length < rest.length ? (events.at(-1)?.seq ?? after) : null };
  };

  const answer = async (name: OperationName, raw: unknown, token: string): Promise<unknown> => {
    const operation = OPERATION_TABLE[name] as unknown as Operation;
    if (token !== TOKEN && operation.right !== 'share_token')
      throw new ProblemError('unauthenticated', 'the token is not known');
    const checked = operation.input.safeParse(raw);
    if (!checked.success)
      throw new ProblemError('invalid_input', 'not as expected', {
        more: {
          errors: checked.error.issues.map(({ path, message }) => ({ field: path.join('.'), expected: message })),
        },
      });
    const handler = gateway.handlers[name] as ((input: unknown, token: string) => unknown) | undefined;
    if (handler !== undefined) return handler(checked.data, token);
    if (name === 'events.list') return page(checked.data as { after: number; limit: number });
    throw new ProblemError('not_found', 'there is no such thing');
  };

  const problemOf = (error: unknown): Problem =>
    error instanceof ProblemError ? error.problem : problem('internal', String(error));

  const stream = (response: ServerResponse, after: number): void => {
    if (gateway.refuseStreams > 0) {
      gateway.refuseStreams -= 1;
      response.writeHead(503, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify(problem('overloaded', 'no place for a stream')));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(': connected\n\n');
    for (const event of log.filter(({ seq }) => seq > after))
      response.write(`id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`);
    open.add(response);
    response.once('close', () => open.delete(response));
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const route = routes.find(
      ({ operation, pattern }) => operation.http.method === request.method && pattern.test(url.pathname),
    );
    if (route === undefined) return void response.writeHead(404).end('no such path');
    const { name, operation, pattern } = route;
    const values = pattern.exec(url.pathname)?.slice(1).map(decodeURIComponent) ?? [];
    const input = decodeHttpRequest(operation, {
      params: Object.fromEntries(pathFields(operation).map((field, index) => [field, values[index]])),
      query: Object.fromEntries(url.searchParams),
      prefer: request.headers['prefer'] as string | undefined,
      body: await bodyOf(request),
    });
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    try {
      const body = await answer(name, input, token);
      if (request.headers.accept === 'text/event-stream')
        return stream(response, (input as { after?: number }).after ?? 0);
      if (body instanceof Uint8Array) return void response.writeHead(200).end(body);
      response.writeHead(statusOf(operation, body as Record<string, unknown>), { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    } catch (error) {
      const what = problemOf(error);
      response.writeHead(what.status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(what));
    }
  };

  const server = createServer((request, response) => void serve(request, response));
  const broker = await Aedes.createBroker({
    authenticate: (_, __, password, done) => {
      const isKnown = password?.toString() === TOKEN;
      done(isKnown ? null : Object.assign(new Error('refused'), { returnCode: 5 as const }), isKnown);
    },
    authorizeSubscribe: (_, subscription, done) =>
      done(null, gateway.blind && subscription.topic.includes('/events/') ? null : subscription),
  });
  const publish = (topic: string, payload: string): void =>
    broker.publish(
      { cmd: 'publish', topic, payload: Buffer.from(payload), qos: 1, retain: false, dup: false },
      () => undefined,
    );
  broker.on('publish', (packet, client) => {
    if (client === null || packet.topic !== requestsTopic(SESSION, CLIENT)) return;
    const { id, method, params } = JSON.parse(packet.payload.toString()) as FakeRequest;
    requests.push({ id, method, params });
    if (gateway.mute) return;
    const operation = OPERATION_TABLE[method as OperationName] as unknown as Operation;
    const input = operation.sight === 'session' ? { session_id: SESSION, ...(params as object) } : params;
    answer(method as OperationName, input, TOKEN).then(
      (result) => publish(repliesTopic(SESSION, CLIENT), JSON.stringify({ jsonrpc: '2.0', id, result })),
      (error: unknown) => {
        const data = problemOf(error);
        publish(
          repliesTopic(SESSION, CLIENT),
          JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32000, message: data.title, data } }),
        );
      },
    );
  });
  const sockets = new Set<Socket>();
  const tcp = createTcpServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    broker.handle(socket);
  });
  const [httpPort, mqttPort] = [await listen(server), await listen(tcp)];

  const gateway: FakeGateway = {
    http: `http://127.0.0.1:${httpPort}`,
    mqtt: `mqtt://127.0.0.1:${mqttPort}`,
    log,
    requests,
    handlers,
    refuseStreams: 0,
    pageLimit: 1000,
    mute: false,
    blind: false,
    append: (type, data = {}) => {
      const seq = (log.at(-1)?.seq ?? 0) + 1;
      const event: Event = {
        id: `evt_${seq}`,
        seq,
        session_id: SESSION,
        type,
        timestamp: new Date(Date.UTC(2026, 0, 1, 0, 0, 0, seq)).toISOString(),
        data,
        metadata: {
          source: 'test',
          severity: 'info',
          principal: null,
          client_id: null,
          correlation_id: null,
          causation_id: null,
          traceparent: null,
        },
      };
      log.push(event);
      for (const response of open) response.write(`id: ${seq}\ndata: ${JSON.stringify(event)}\n\n`);
      publish(eventTopic(SESSION, type, SESSION), JSON.stringify(event));
      return event;
    },
    streams: () => open.size,
    cutStreams: () => {
      for (const response of open) response.destroy();
      // At once, so that the next one that is seen is a new one.
      open.clear();
    },
    cutMqtt: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: async () => {
      server.closeAllConnections();
      gateway.cutMqtt();
      await new Promise((resolve) => server.close(resolve));
      await new Promise((resolve) => tcp.close(resolve));
      await new Promise<void>((resolve) => broker.close(() => resolve()));
    },
  };
  return gateway;
};

/** Resolves once the condition holds; rejects after ten seconds. */
export const until = async (condition: () => boolean, what: string): Promise<void> => {
  const limit = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > limit) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
