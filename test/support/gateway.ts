import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { Bus } from '../../brokers/bus.ts';
import { defineCommand, type Command } from '../../machines/command.ts';
import exportCommand from '../../src/commands/export.ts';
import { createAudit } from '../../src/gateway/audit.ts';
import { createGateway, type Gateway, type GatewayOptions } from '../../src/gateway/gateway.ts';
import { createApiKey } from '../../src/gateway/keys.ts';
import { createLog } from '../../src/gateway/log.ts';
import { createTestSystem, type TestSystem } from './gateway-system.ts';
import { testWebhooks } from './webhooks.ts';

/** Commands of every kind that the gateway tells apart. */
export const testCommands: ReadonlyMap<string, Command> = new Map(
  [
    defineCommand({
      name: 'help',
      summary: 'Says what there is',
      args: z.strictObject({ command: z.string().optional() }),
      result: z.object({ text: z.string() }),
      operation: 'read',
      risk: 'minimal',
      mode: 'sync',
      run: () => ({ text: '' }),
    }),
    defineCommand({
      name: 'work',
      summary: 'Works for long',
      args: z.strictObject({ n: z.int().default(1) }),
      result: z.unknown(),
      run: () => null,
    }),
    defineCommand({
      name: 'shell',
      summary: 'Needs execute',
      args: z.strictObject({}),
      result: z.unknown(),
      operation: 'execute',
      run: () => null,
    }),
  ].map((command) => [command.facts.name, command]),
);

/** With the one that an operation of its own stands for. */
export const gatewayCommands: ReadonlyMap<string, Command> = new Map([
  ...testCommands,
  [exportCommand.facts.name, exportCommand],
]);

/** Whatever was parsed: a test looks at what it expects. */
export type Json = ReturnType<typeof JSON.parse>;

export interface TestAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; undefined where it is none. */
  readonly body: Json;
}

export interface TestGateway {
  readonly system: TestSystem;
  readonly gateway: Gateway;
  readonly url: string;
  /** An operator's key; `owner` has another. */
  readonly operator: { readonly key: string; readonly principal: string };
  readonly owner: string;
  readonly directory: string;
  /** All lines of the log. */
  readonly lines: string[];
  readonly mqtt: { readonly host: string; readonly port: number } | null;
  call(
    method: string,
    path: string,
    options?: { token?: string | null; body?: unknown; headers?: Record<string, string> },
  ): Promise<TestAnswer>;
  /** Opens a session of `owner`; answers what `sessions.create` does. */
  open(type?: string): Promise<Json>;
  keyOf(principal: string, operator?: boolean): Promise<string>;
  close(): Promise<void>;
}

/** A gateway over the ring in memory, listening on a port of its own. */
export const startGateway = async (options: Partial<GatewayOptions> = {}, bus?: Bus): Promise<TestGateway> => {
  const system = createTestSystem(bus);
  const directory = mkdtempSync(join(tmpdir(), 'arbor-gateway-'));
  const lines: string[] = [];
  const keyOf = async (principal: string, operator = false): Promise<string> => {
    const { key, stored } = createApiKey({ principal, operator, now: Date.now() });
    await system.keys.put(stored);
    return key;
  };
  const gateway = await createGateway({
    system,
    keys: system.keys,
    commands: gatewayCommands,
    dataDirectory: directory,
    http: { host: '127.0.0.1', port: 0 },
    log: createLog({ level: 'debug', destination: { write: (line) => void lines.push(line) } }),
    version: '0.0.0',
    webhooks: testWebhooks,
    audit: createAudit({ note: system.note, onError: (error) => lines.push(String(error)) }),
    ...options,
  });
  const { http, mqtt } = await gateway.listen();
  const url = `http://${http.host}:${http.port}`;
  const owner = await keyOf('alice');
  const operator = { key: await keyOf('root', true), principal: 'root' };

  const call: TestGateway['call'] = async (method, path, { token = owner, body, headers = {} } = {}) => {
    const answer = await fetch(url + path, {
      method,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      parsed = undefined;
    }
    return { status: answer.status, headers: answer.headers, text, body: parsed };
  };
  return {
    system,
    gateway,
    url,
    operator,
    owner,
    directory,
    lines,
    mqtt,
    call,
    keyOf,
    open: async (type = 'cli') => (await call('POST', '/v1/sessions', { body: { client: { type } } })).body,
    close: async () => {
      await gateway.close(1_000);
      await system.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
};

/** Waits for a condition, at most `deadlineMs`. */
export const eventually = async (
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 10_000,
): Promise<void> => {
  for (const end = Date.now() + deadlineMs; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
