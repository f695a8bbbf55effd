import { expose, wrap, type Endpoint } from 'comlink';
import type { MessagePort } from 'node:worker_threads';
import { isProblem, type Problem } from '../machines/error.ts';

/** What one side offers to the other: plain functions by name. Arguments and results are structured-cloned. */
export type Methods = Readonly<Record<string, (...args: never[]) => unknown>>;

export interface Rpc<Remote extends Methods> {
  /**
   * Calls a method of the other side. Rejects with an `RpcError`: what the method threw, `ERR_RPC_TIMEOUT` at the
   * deadline, `ERR_RPC_CLOSED` as soon as the port is closed or its other side has died.
   */
  call<Name extends keyof Remote & string>(
    name: Name,
    ...args: Parameters<Remote[Name]>
  ): Promise<Awaited<ReturnType<Remote[Name]>>>;
  /** Rejects what is pending and closes the port; idempotent. */
  close(): void;
}

export interface RpcOptions {
  /** How long a call may take; default 10,000 ms. */
  readonly deadlineMs?: number;
}

export class RpcError extends Error {
  readonly code: string;
  /** Where the method threw a problem. */
  readonly problem: Problem | null;
  constructor(message: string, code: string, problem: Problem | null = null) {
    super(message);
    this.name = 'RpcError';
    this.code = code;
    this.problem = problem;
  }
}

/** How every method answers over the wire: Comlink's own errors lose `code` and all other fields. */
type Answer =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string; readonly code: string; readonly problem: Problem | null };

const failure = (error: unknown): Answer => {
  const { message = String(error), code, problem } = (error ?? {}) as Partial<RpcError>;
  return {
    ok: false,
    message,
    code: typeof code === 'string' ? code : 'ERR_RPC_FAILED',
    problem: isProblem(problem) ? problem : null,
  };
};

/** Methods as Comlink exposes them: nothing is inherited, nothing throws. */
const answering = (methods: Methods): Methods => {
  const exposed: Record<string, (...args: never[]) => unknown> = Object.create(null);
  for (const [name, method] of Object.entries(methods)) {
    exposed[name] = async (...args): Promise<Answer> => {
      try {
        return { ok: true, value: await method(...args) };
      } catch (error) {
        return failure(error);
      }
    };
  }
  return Object.freeze(exposed);
};

interface Wire {
  readonly id: string;
  readonly type: string;
  readonly path?: unknown;
  readonly argumentList?: unknown;
  readonly name?: unknown;
}

const wireOf = (data: unknown): Wire | null =>
  typeof data === 'object' && data !== null && typeof (data as Wire).id === 'string' ? (data as Wire) : null;

const isReply = ({ type }: Wire): boolean => type === 'RAW' || type === 'HANDLER';

/** Comlink's handlers make ports of arguments and throw outside of its `try`: only plain values come in. */
const isPlain = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && (value as Wire).type === 'RAW';

/**
 * Whether a request names one of the methods and nothing else. Comlink follows any path, so that
 * `name.constructor.constructor` would reach `Function`, and it sets, constructs and opens further ports.
 */
const isAllowed = (methods: Methods, { type, path, argumentList = [] }: Wire): boolean =>
  type === 'APPLY' &&
  Array.isArray(path) &&
  path.length === 1 &&
  typeof path[0] === 'string' &&
  Object.hasOwn(methods, path[0]) &&
  Array.isArray(argumentList) &&
  argumentList.every(isPlain);

type Listener = (event: { readonly data: unknown }) => void;

/** A Node port as Comlink wants it, letting through only what `admit` takes. */
const endpoint = (port: MessagePort, admit: (wire: Wire) => boolean): Endpoint => {
  const listeners = new Map<Listener, (data: unknown) => void>();
  const end = {
    postMessage: (message: unknown, transfer?: readonly MessagePort[]) => port.postMessage(message, transfer),
    addEventListener: (_: string, listener: Listener) => {
      const onMessage = (data: unknown): void => {
        const wire = wireOf(data);
        if (wire !== null && admit(wire)) listener({ data });
      };
      listeners.set(listener, onMessage);
      port.on('message', onMessage);
    },
    removeEventListener: (_: string, listener: Listener) => {
      const onMessage = listeners.get(listener);
      if (onMessage !== undefined) port.off('message', onMessage);
      listeners.delete(listener);
    },
  };
  return end;
};

type Calls = Record<string, (...args: unknown[]) => Promise<Answer>>;

/**
 * Comlink both ways over one port, made safe: a deadline for each call, rejection when the port closes, errors as values
 * that keep code and problem, and no way to anything but the named methods. Strings on the port are none of its business.
 */
export const createRpc = <Remote extends Methods>(
  port: MessagePort,
  methods: Methods,
  { deadlineMs = 10_000 }: RpcOptions = {},
): Rpc<Remote> => {
  const exposed = answering(methods);
  const refuse = ({ id, path }: Wire): void => {
    const refusal: Answer = {
      ok: false,
      message: `there is no method ${JSON.stringify(path ?? null)}`,
      code: 'ERR_RPC_REFUSED',
      problem: null,
    };
    port.postMessage({ id, type: 'RAW', value: refusal });
  };
  expose(
    exposed,
    endpoint(port, (wire) => {
      if (isReply(wire)) return false;
      const allowed = isAllowed(exposed, wire);
      if (!allowed) refuse(wire);
      return allowed;
    }),
  );

  // Held for good: Comlink closes the port once its last proxy is collected as garbage.
  const proxy = wrap(endpoint(port, (wire) => isReply(wire) && wire.name !== 'proxy')) as unknown as Calls;
  const calls: Calls = Object.create(null);
  const pending = new Set<(error: RpcError) => void>();
  let closed = false;

  const onClose = (): void => {
    closed = true;
    for (const reject of pending) reject(new RpcError('the port is closed', 'ERR_RPC_CLOSED'));
    pending.clear();
  };
  port.on('close', onClose);

  return {
    call: (name, ...args) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(new RpcError('the port is closed', 'ERR_RPC_CLOSED'));
        const settle = (): void => {
          clearTimeout(timer);
          pending.delete(fail);
        };
        const fail = (error: RpcError): void => {
          settle();
          reject(error);
        };
        const timer = setTimeout(
          () => fail(new RpcError(`no answer from ${name} within ${deadlineMs} ms`, 'ERR_RPC_TIMEOUT')),
          deadlineMs,
        );
        timer.unref();
        pending.add(fail);
        const method = (calls[name] ??= proxy[name] as Calls[string]);
        method(...args).then(
          (answer) => {
            settle();
            if (answer.ok) resolve(answer.value as never);
            else reject(new RpcError(answer.message, answer.code, answer.problem));
          },
          (error: unknown) => fail(new RpcError(String(error), 'ERR_RPC_FAILED')),
        );
      }),
    close: () => {
      onClose();
      port.close();
    },
  };
};
