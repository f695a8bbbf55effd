import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Event } from '../../machines/event.ts';
import { within } from './mqtt-wire.ts';

/** Whatever was parsed: a test looks at what it expects. */
export type Json = ReturnType<typeof JSON.parse>;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; undefined where it is none. */
  readonly body: Json;
}

export interface CallOptions {
  /** Default the operator's key; null sends none. */
  readonly token?: string | null;
  /** Text is sent as it is, anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A process of the command line, read to its end. */
export interface Arbor {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Rejects when it has not ended within the time that a process of a test may take. */
  ended(): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
  /** Waits for this text on either stream. */
  said(text: string): Promise<void>;
}

export interface ServerProcess extends Arbor {
  readonly http: string;
  readonly mqtt: string;
  readonly mqttPort: number;
  readonly data: string;
  /** The operator's key. */
  readonly key: string;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** Opens a session; answers what `sessions.create` does. */
  open(type?: string): Promise<Json>;
  /** `commands.execute`; `prefer` is the header. */
  execute(session: string, body: object, prefer?: string, token?: string): Promise<Answer>;
  /** All events of a session after a `seq`, by pages. */
  events(session: string, after?: number): Promise<Event[]>;
  /** `kill -9`; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

interface ServeOptions {
  /** Default `data` of the workspace. */
  readonly data?: string;
  readonly http?: string;
  readonly mqtt?: string;
  readonly config?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** When the process is ended whatever becomes of the test; default 280,000 ms. */
  readonly lifeMs?: number;
}

/** A directory of its own and the processes in it; both are gone when it is disposed of, or with the test's process. */
export interface Workspace extends AsyncDisposable {
  readonly directory: string;
  /** Writes a file; answers its path. */
  write(name: string, text: string): string;
  /** Writes a configuration; `commands` are names in `test/support/commands`. */
  config(settings: { readonly commands?: readonly string[]; readonly [field: string]: unknown }): string;
  /** Starts the command line; `args` are all of its words. */
  arbor(args: readonly string[], env?: Readonly<Record<string, string>>, lifeMs?: number): Arbor;
  /** Starts a server on free ports and waits until it is ready. */
  serve(options?: ServeOptions): Promise<ServerProcess>;
}

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');
/** The command line as it is shipped, once it is built. */
export const SHIPPED_MAIN = resolve(import.meta.dirname, '../../dist/src/cli/main.js');
const COMMANDS = resolve(import.meta.dirname, 'commands');

/** More than any call takes on a loaded machine, the longest wait of 60 s included. */
const CALL_MS = 90_000;
const READY_MS = 60_000;
const ENDED_MS = 90_000;
/** No process of a test lives longer, whatever becomes of the test. */
const LIFE_MS = 280_000;

const living = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

/** Where the servers of tests find the code that others have compiled; one that is measured begins with none. */
const CACHE = resolve(import.meta.dirname, '../../node_modules/.cache');

/** Runs the command line on the same Node, with an environment that holds nothing of this one's. */
const spawnArbor = (
  main: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
  lifeMs: number,
): Arbor => {
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    env: { PATH: process.env['PATH'], HOME: cwd, ...(main === MAIN ? { XDG_CACHE_HOME: CACHE } : {}), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: lifeMs,
    killSignal: 'SIGKILL',
  });
  living.add(child);
  let [stdout, stderr] = ['', ''];
  const heard = new Set<() => void>();
  const tell = (): void => {
    for (const listener of heard) listener();
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    tell();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    tell();
  });
  const closed = once(child, 'close').then(() => {
    living.delete(child);
    tell();
  });
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const name = `arbor ${args.join(' ')}`;
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    ended: async () => {
      await within(`end of ${name}, which said ${stdout}${stderr}`, closed, ENDED_MS);
      return { code: child.exitCode, stdout, stderr };
    },
    said: async (text) => {
      const { promise, resolve: found, reject } = Promise.withResolvers<void>();
      const look = (): void => {
        if (stdout.includes(text) || stderr.includes(text)) found();
        else if (isOver() && !living.has(child))
          reject(new Error(`${name} ended with ${child.exitCode}: ${stdout}${stderr}`));
      };
      heard.add(look);
      look();
      await within(`"${text}" from ${name}`, promise, READY_MS).finally(() => heard.delete(look));
    },
  };
};

const parsed = (text: string): Json => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** Calls over HTTP with a deadline. */
const callHttp = async (
  base: string,
  method: string,
  path: string,
  { token = null, body, headers = {} }: CallOptions = {},
): Promise<Answer> => {
  const answer = await fetch(base + path, {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    signal: AbortSignal.timeout(CALL_MS),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text, body: parsed(text) };
};

const READY = /^arbor is ready: (http:\/\/\S+) and (mqtt:\/\/[^\s;]+); [^\n]+\n$/;

const serverOf = (arbor: Arbor, data: string): ServerProcess => {
  const [, http = '', mqtt = ''] = READY.exec(arbor.stdout()) ?? [];
  if (http === '') throw new Error(`no ready line but ${JSON.stringify(arbor.stdout())}`);
  const { api_key: key } = JSON.parse(readFileSync(join(data, 'credentials.json'), 'utf8')) as { api_key: string };
  const call: ServerProcess['call'] = (method, path, options = {}) =>
    callHttp(http, method, path, { token: key, ...options });
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    arbor.child.kill(signal);
    return (await arbor.ended()).code;
  };
  return {
    ...arbor,
    http,
    mqtt,
    mqttPort: Number(new URL(mqtt).port),
    data,
    key,
    call,
    open: async (type = 'cli') => {
      const { status, body, text } = await call('POST', '/v1/sessions', { body: { client: { type } } });
      if (status !== 201) throw new Error(`a session was refused: ${text}`);
      return body;
    },
    execute: (session, body, prefer = 'respond-async', token = key) =>
      call('POST', `/v1/sessions/${session}/commands`, { body, headers: { prefer }, token }),
    events: async (session, after = 0) => {
      const all: Event[] = [];
      for (let from: number | null = after; from !== null; ) {
        const { status, body, text } = await call('GET', `/v1/sessions/${session}/events?after=${from}`);
        if (status !== 200) throw new Error(`the events after ${from} were refused: ${text}`);
        all.push(...(body.events as Event[]));
        from = body.next as number | null;
      }
      return all;
    },
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
  };
};

/** `main` is the command line's file: the source unless said otherwise. */
export const createWorkspace = (main = MAIN): Workspace => {
  const directory = mkdtempSync(join(tmpdir(), 'arbor-e2e-'));
  const started: Arbor[] = [];
  const write = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };
  const arbor: Workspace['arbor'] = (args, env = {}, lifeMs = LIFE_MS) => {
    const process = spawnArbor(main, args, directory, env, lifeMs);
    started.push(process);
    return process;
  };
  return {
    directory,
    write,
    config: ({ commands = [], ...settings }) => {
      const modules = commands.map((name) => (name.includes('/') ? name : join(COMMANDS, `${name}.ts`)));
      return write(
        'arbor.config.mjs',
        `export default ${JSON.stringify({ commands: modules, ...settings }, null, 2)};\n`,
      );
    },
    arbor,
    serve: async (options = {}) => {
      const {
        data = join(directory, 'data'),
        http = '127.0.0.1:0',
        mqtt = '127.0.0.1:0',
        config,
        env,
        lifeMs,
      } = options;
      const flags = [
        '--data',
        data,
        '--http',
        http,
        '--mqtt',
        mqtt,
        ...(config === undefined ? [] : ['--config', config]),
      ];
      const process = arbor(['serve', ...flags], env, lifeMs);
      await process.said('arbor is ready');
      return serverOf(process, data);
    },
    [Symbol.asyncDispose]: async () => {
      for (const { child } of started) child.kill('SIGKILL');
      await Promise.all(started.map((process) => process.ended()));
      rmSync(directory, { recursive: true, force: true });
    },
  };
};

/** Waits for a condition, at most `deadlineMs`. */
export const eventually = async (
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 60_000,
): Promise<void> => {
  for (const end = Date.now() + deadlineMs; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((proceed) => setTimeout(proceed, 50));
  }
};

export { createRandom } from './random.ts';
