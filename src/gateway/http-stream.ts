import type { FastifyReply, FastifyRequest } from 'fastify';
import { problem } from '../../machines/error.ts';
import type { CheckedInputOf } from '../operations/table.ts';
import { mayRead } from './authorise.ts';
import type { CallSource } from './call.ts';
import type { Calls } from './calls.ts';
import type { GatewayContext } from './context.ts';
import { cursorExpired } from './event-handlers.ts';
import { followEvents } from './event-stream.ts';
import { sendProblem } from './http-problem.ts';
import { tooManyStreams } from './long-poll.ts';
import type { Streams } from './streams.ts';

export interface EventSourceOptions {
  readonly context: GatewayContext;
  readonly calls: Calls;
  readonly streams: Streams;
  readonly isAlive: (source: CallSource) => Promise<boolean>;
  readonly onCut: () => void;
  readonly onError: (error: unknown) => void;
}

/** How long a client that is cut may take for the events that say so. */
const LAST_WORDS_MS = 50;

/** A timer waits no longer; whatever lives longer is asked at each heartbeat. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Whether the caller asks for `text/event-stream`. */
export const wantsEventStream = (request: FastifyRequest): boolean =>
  (request.headers.accept ?? '').split(',').some((range) => range.split(';')[0]?.trim() === 'text/event-stream');

/** `events.list` as a stream (HTML, section 9.2): `id` is the `seq`, `data` the event. */
export const createEventSource = (options: EventSourceOptions) => {
  const { context, calls, streams, isAlive, onCut, onError } = options;
  const { system, facts, slots, cuts, presence, limits } = context;

  return async (
    request: FastifyRequest,
    reply: FastifyReply,
    input: unknown,
    source: CallSource,
  ): Promise<FastifyReply> => {
    const lastId = request.headers['last-event-id'];
    const from = typeof lastId === 'string' && lastId !== '' ? { after: Number(lastId) } : {};
    const authorised = await calls.authorise('events.list', { ...(input as object), ...from }, source);
    if (!authorised.ok) return sendProblem(reply, authorised.problem);
    const { session_id, after, types } = authorised.input as CheckedInputOf<'events.list'>;
    const { first, last } = await system.reads.events(session_id, { after: Number.MAX_SAFE_INTEGER, limit: 1 });
    if (first > after + 1) return sendProblem(reply, cursorExpired(first));
    if (after > last)
      return sendProblem(
        reply,
        problem('invalid_input', `the last seq is ${last}`, {
          errors: [{ field: 'after', expected: `a seq, up to ${last}` }],
        }),
      );
    const release = slots.take();
    if (release === null) return sendProblem(reply, tooManyStreams());
    const { identity } = source;

    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    });
    // Sent at once: a reader knows by it that it is connected.
    raw.write(': connected\n\n');

    const sink = {
      write: (seq: number, json: string) => {
        raw.write(`id: ${seq}\ndata: ${json}\n\n`);
        return !raw.writableNeedDrain;
      },
      drained: async () => {
        if (raw.destroyed || !raw.writableNeedDrain) return !raw.destroyed;
        const { promise, resolve } = Promise.withResolvers<boolean>();
        const timer = setTimeout(() => resolve(false), limits.stalledMs);
        const onDrain = (): void => resolve(true);
        const onClose = (): void => resolve(false);
        raw.once('drain', onDrain).once('close', onClose);
        const isDrained = await promise;
        clearTimeout(timer);
        raw.off('drain', onDrain).off('close', onClose);
        return isDrained;
      },
    };
    /** Decided for each event, on what is committed now. */
    const may = (seq: number): boolean => {
      if (identity.kind === 'jwt') return system.now() < identity.expires_at;
      if (identity.kind !== 'client') return true;
      const { client_id } = identity.client;
      const barred = facts.barred(client_id);
      if (barred !== undefined) return barred.seqs.has(seq);
      return mayRead(facts.knownClient(client_id) ?? identity.client, system.now());
    };
    const events = followEvents({
      reads: system.reads,
      may,
      session: session_id,
      after,
      types,
      sink,
      onEnd: (reason, cause) => {
        if (reason === 'failed') onError(cause);
        if (reason === 'stalled' && !raw.destroyed) onCut();
        // What lies in the buffer of a reader that takes nothing would keep the connection open.
        if (reason === 'stalled') raw.destroy();
        else raw.end();
      },
    });
    const close = streams.open(session_id, {
      events,
      beat: () => {
        if (raw.writableLength === 0) raw.write(':\n\n');
        void isAlive(source).then((alive) => void (alive || raw.end()), onError);
      },
      end: () => void raw.end(),
    });
    const ends = [close, events.end, release];
    const cut = (): void => {
      // What lies in the buffer of a reader that takes nothing would keep the connection open.
      const timer = setTimeout(() => raw.destroy(), LAST_WORDS_MS);
      ends.push(() => clearTimeout(timer));
      const said = (): void => void raw.end();
      void events.finish().then(said);
    };
    if (identity.kind === 'client')
      ends.push(presence.connect(identity.client), cuts.on(identity.client.client_id, cut));
    if (identity.kind === 'key') ends.push(cuts.on(identity.key_id, cut));
    if (identity.kind === 'jwt') {
      const timer = setTimeout(cut, Math.min(identity.expires_at - system.now(), LONGEST_TIMER_MS));
      ends.push(() => clearTimeout(timer));
    }
    const closed = (): void => {
      for (const end of ends) end();
    };
    if (raw.destroyed) closed();
    else raw.once('close', closed);
    return reply;
  };
};
