import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { problem, type Problem } from '../../machines/error.ts';
import { decodeHttpRequest } from '../operations/http-request.ts';
import type { Operation } from '../operations/operation.ts';
import { OPERATION_TABLE, type OperationName } from '../operations/table.ts';
import type { CallSource } from './call.ts';
import type { Calls } from './calls.ts';
import type { GatewayContext } from './context.ts';
import { tooManyFailedLogins, type FailedLogins } from './failed-logins.ts';
import { sendResult } from './http-answer.ts';
import { problemOfFastify, refuseSocket } from './http-errors.ts';
import { sendProblem } from './http-problem.ts';
import { createEventSource, wantsEventStream } from './http-stream.ts';
import { addServiceRoutes, type ServiceRoutesOptions } from './http-service.ts';
import type { Log } from './log.ts';
import type { GatewayMetrics } from './metrics.ts';
import { ANONYMOUS, type Identity, type Principals } from './principals.ts';
import type { Streams } from './streams.ts';

export interface HttpOptions extends Omit<ServiceRoutesOptions, 'system'> {
  readonly context: GatewayContext;
  readonly calls: Calls;
  readonly principals: Principals;
  readonly failedLogins: FailedLogins;
  readonly streams: Streams;
  readonly metrics: GatewayMetrics;
  readonly log: Log;
  /** Origins of pages that may call; none by default. */
  readonly origins: readonly string[];
}

declare module 'fastify' {
  interface FastifyRequest {
    identity: Identity | null;
  }
}

/**
 * What an answer in JSON needs of helmet's headers. Helmet makes its policy anew for each answer, so it is left to what is
 * not on the hot path.
 */
const API_HEADERS = Object.freeze({
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
});
const BEARER = /^Bearer +(\S+)$/i;
const noObject = (): Problem =>
  problem('invalid_input', 'the body is not a JSON object', { errors: [{ field: '', expected: 'a JSON object' }] });
/** W3C Trace Context, section 3.2. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
/** Longest path parameter; an artifact's name has at most 200 bytes, percent-encoded. */
const MAX_PARAMETER = 600;
/** Milliseconds within which a whole request must have arrived. */
const REQUEST_TIMEOUT_MS = 30_000;

/** The HTTP binding, made from the table of operations. Not listening yet. */
export const createHttp = async (options: HttpOptions): Promise<FastifyInstance> => {
  const { context, calls, principals, failedLogins, streams, metrics, log, origins } = options;
  const { system, limits, cuts } = context;
  const app: FastifyInstance = Fastify({
    // What Fastify says at level info is that it listens, which the ready line says.
    loggerInstance: log.child({}, { level: log.isLevelEnabled('warn') ? 'warn' : log.level }) as FastifyBaseLogger,
    logController: new Fastify.LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bodyBytes,
    requestTimeout: REQUEST_TIMEOUT_MS,
    routerOptions: { maxParamLength: MAX_PARAMETER },
    clientErrorHandler: refuseSocket,
    // Lines name what they are about themselves; a logger for each request would only cost.
    childLoggerFactory: (logger) => logger,
    frameworkErrors: (error, _, reply) => void sendError(error, reply as FastifyReply),
  });

  const sendError = (error: FastifyError, reply: FastifyReply): FastifyReply => {
    const what = problemOfFastify(error, limits.bodyBytes);
    if (what === null) log.error({ err: error }, 'a request failed');
    return sendProblem(reply, what ?? problem('internal', 'the server failed'));
  };
  app.setErrorHandler((error: FastifyError, _, reply) => sendError(error, reply));
  app.setNotFoundHandler((_, reply) => sendProblem(reply, problem('not_found', 'there is no such resource')));
  app.removeContentTypeParser('text/plain');
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) => {
    // Many callers send the type with every request: on a DELETE an empty body is none.
    if (text === '') done(null, undefined);
    else void parseJson(request, text as string, done);
  });
  await app.register(helmet, { contentSecurityPolicy: { directives: { defaultSrc: ["'none'"] } } });
  await app.register(cors, {
    origin: origins.length === 0 ? false : [...origins],
    methods: [...METHODS],
    exposedHeaders: [
      'location',
      'retry-after',
      'ratelimit',
      'ratelimit-policy',
      'preference-applied',
      'etag',
      'content-range',
    ],
    maxAge: 600,
  });
  app.decorateRequest('identity', null);

  const countFailedLogin = ({ ip }: FastifyRequest): void => {
    failedLogins.add(ip);
    metrics.failedLogin('http');
  };

  /**
   * Step 1 of the decision, before a body is read. Who brings the token of a share may come without credentials, not with
   * wrong ones.
   */
  const authenticate = (operation: Operation) => async (request: FastifyRequest, reply: FastifyReply) => {
    reply.headers(API_HEADERS);
    const { authorization } = request.headers;
    const token = BEARER.exec(authorization ?? '')?.[1];
    const blocked = failedLogins.blockedFor(request.ip);
    // Who is known keeps in: others behind the same address must not lock it out.
    if (blocked > 0 && (token === undefined || !principals.isKnown(token)))
      return sendProblem(reply, tooManyFailedLogins(limits.failedLogins, blocked));
    request.identity = token === undefined ? null : await principals.authenticate(token, request.ip);
    if (request.identity !== null || (authorization === undefined && operation.right === 'share_token'))
      return undefined;
    countFailedLogin(request);
    return sendProblem(reply, problem('unauthenticated', 'expected Authorization: Bearer with a key or a token'));
  };

  /** A refusal for want of rights is worth a line; faults have theirs; the rest is for who looks closely. */
  const note = (operation: string, { ip, identity }: FastifyRequest, { statusCode }: FastifyReply): void => {
    const isRefusal = statusCode === 401 || statusCode === 403;
    if (!isRefusal && !log.isLevelEnabled('debug')) return;
    const line = { operation, status: statusCode, address: ip, principal: identity?.principal ?? null };
    if (isRefusal) log.info(line, 'refused');
    else log.debug(line, 'answered');
  };

  const sourceOf = (request: FastifyRequest, reply: FastifyReply): CallSource => {
    const { traceparent } = request.headers;
    return {
      identity: request.identity ?? ANONYMOUS,
      address: request.ip,
      requestId: system.newId('request'),
      signal: () => {
        const controller = new AbortController();
        if (reply.raw.destroyed) controller.abort();
        else
          reply.raw.once('close', () => {
            // Making the reason of an abort costs more than it is worth where the answer is out.
            if (!reply.raw.writableFinished) controller.abort();
          });
        return controller.signal;
      },
      ...(typeof traceparent === 'string' && TRACEPARENT.test(traceparent) ? { traceparent } : {}),
    };
  };

  const eventSource = createEventSource({
    context,
    calls,
    streams,
    isAlive: ({ identity }) => principals.isCurrent(identity),
    onCut: () => metrics.streamCut(),
    onError: (error) => log.error({ err: error }, 'an event stream failed'),
  });

  /** A file may be long under way: like a stream it ends with the right to it. */
  const endWithRight = ({ identity }: CallSource, { raw }: FastifyReply): void => {
    if (raw.destroyed || (identity.kind !== 'client' && identity.kind !== 'key')) return;
    const holder = identity.kind === 'client' ? identity.client.client_id : identity.key_id;
    raw.once(
      'close',
      cuts.on(holder, () => raw.destroy()),
    );
  };

  const serve = (name: OperationName, operation: Operation) => async (request: FastifyRequest, reply: FastifyReply) => {
    const { body = {} } = request as { body?: unknown };
    const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
    const input = decodeHttpRequest(operation, {
      params: request.params as Record<string, unknown>,
      query: request.query as Record<string, unknown>,
      prefer: request.headers['prefer'] as string | undefined,
      body: isObject ? body : {},
    });
    const source = sourceOf(request, reply);
    if (operation.http.method === 'POST' && !isObject) {
      // Sight comes before the body here as well: who may not see what the path names hears nothing else.
      const authorised = await calls.authorise(name, input, source);
      const isSeen = authorised.ok || authorised.problem.code === 'invalid_input';
      return sendProblem(reply, isSeen ? noObject() : authorised.problem);
    }
    if (operation.http.stream && request.method === 'GET' && wantsEventStream(request))
      return eventSource(request, reply, input, source);
    const result = await calls.call(name, input, source);
    // A token in the input is a login as well: guessing it is counted like any other.
    if (operation.right === 'share_token' && !result.ok && result.problem.status === 401) countFailedLogin(request);
    if (result.ok && 'file' in result) endWithRight(source, reply);
    return sendResult(request, reply, operation, result, limits.stalledMs);
  };

  const methodsByPath = new Map<string, Set<string>>();
  for (const [name, operation] of Object.entries(OPERATION_TABLE) as [OperationName, Operation][]) {
    if (!operation.bindings.includes('http')) continue;
    const { method } = operation.http;
    const url = operation.http.path.replace(/\{(\w+)\}/g, ':$1');
    methodsByPath.set(url, (methodsByPath.get(url) ?? new Set()).add(method));
    app.route({
      method,
      url,
      helmet: false,
      onRequest: authenticate(operation),
      onResponse: (request, reply, done) => {
        metrics.answered('http', name, reply.statusCode, reply.elapsedTime / 1000);
        note(name, request, reply);
        done();
      },
      handler: serve(name, operation),
    });
  }
  for (const [url, methods] of methodsByPath)
    app.route({
      method: METHODS.filter((method) => !methods.has(method)),
      url,
      onRequest: async (request, reply) => {
        const allowed = [...methods].join(', ');
        return sendProblem(
          reply.header('allow', allowed),
          problem('method_not_allowed', `${request.method} is not offered here, but ${allowed}`),
        );
      },
      handler: async () => undefined,
    });
  addServiceRoutes(app, { system, register: options.register, version: options.version });
  return app;
};
