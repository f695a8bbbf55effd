import { z } from 'zod';
import { authSchema } from './auth-schema.ts';
import { strict, text, whole } from './fields.ts';
import { policySchema } from './policy-schema.ts';
import { webhooksSchema } from './webhooks-schema.ts';

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
const HOST_PORT = /^(?:\[([0-9a-fA-F:.%]+)\]|([^\s:[\]/]+)):(\d{1,5})$/;
const MAX_PORT = 65_535;
/** Logical shards there are (architecture, "Placement"): more threads would have nothing to do. */
const MAX_WORKERS = 64;
const MAX_THREADS = 256;
/** The most that a timer can wait, in seconds. */
const MAX_TIMER = Math.floor((2 ** 31 - 1) / 1000);

export interface HostPort {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
}

const seconds = (to = Number.MAX_SAFE_INTEGER) => {
  const expected = to === Number.MAX_SAFE_INTEGER ? 'seconds, above 0' : `seconds, above 0 and up to ${to}`;
  return z.number(expected).positive(expected).max(to, expected);
};

const address = z.string('HOST:PORT').transform((value, context): HostPort => {
  const [, ipv6, name, digits] = HOST_PORT.exec(value) ?? [];
  const port = Number(digits);
  const host = ipv6 ?? name;
  if (host !== undefined && port <= MAX_PORT) return { host, port };
  context.addIssue({ code: 'custom', message: `HOST:PORT, for example 127.0.0.1:7070, not ${JSON.stringify(value)}` });
  return z.NEVER;
});

/**
 * What `arbor.config.{js,mjs,ts}`, the environment and the flags can say; every field is optional. Paths are relative:
 * to the file in a file, else to the working directory. Times in seconds.
 */
export const settingsSchema = strict({
  /** Where everything durable lives. Default `.arbor`. */
  data: text.optional(),
  /** Default `127.0.0.1:7070`. */
  http: address.optional(),
  /** MQTT over TCP. Default `127.0.0.1:1883`. */
  mqtt: address.optional(),
  /** Directories under which commands may read. Default the working directory. */
  roots: z.array(text, 'a list of directories').min(1, 'at least one directory').optional(),
  /** Modules whose default export is a `defineCommand`. Default none but the built-in ones. */
  commands: z.array(text, 'a list of modules').optional(),
  /** What each type of client is granted, and how often its principal may act. Default the contract's, section 6. */
  policy: policySchema.optional(),
  /** The issuer of JWTs. Default none: API keys only. */
  auth: authSchema.optional(),
  /** Which addresses webhooks may be sent to although they are not public. Default none. */
  webhooks: webhooksSchema.optional(),
  log: strict({ level: z.enum(LOG_LEVELS, `one of ${LOG_LEVELS.join(', ')}`).optional() }).optional(),
  /** Threads that run commands, one execution each. Default one for each processor, at least 2. */
  agents: strict({ threads: whole(1, MAX_THREADS).optional() }).optional(),
  /** Threads that host shards. Default 2. */
  shards: strict({ workers: whole(1, MAX_WORKERS).optional() }).optional(),
  /** How long closed sessions, results, artifacts and events are kept. Default 7 days. */
  retention: seconds().optional(),
  /** How long the audit is kept; it outlives what it tells of. Default 365 days. */
  audit_retention: seconds().optional(),
  limits: strict({
    /** Bytes of an HTTP body; default 1 MiB. */
    body_bytes: whole(1_024, 256 * 1024 * 1024).optional(),
    /** Executions that wait for a place, in all; default 100,000. */
    queued_executions: whole(1).optional(),
    /** Long-polls and streams together; default 10,000. */
    streams: whole(1).optional(),
    /** JSON-RPC requests of one client that are not answered yet; default 64. */
    in_flight: whole(1).optional(),
    /** Failed logins and unauthenticated calls of one address in a minute; default 300. */
    failed_logins: whole(1).optional(),
    /** Without a connection or a request for this long, a client counts as detached; default 60. */
    grace: seconds(MAX_TIMER).optional(),
    /** How long the reader of a stream may take nothing before it is cut off; default 30. */
    stalled: seconds(MAX_TIMER).optional(),
    /** On SIGTERM, the time for what is under way; default 30. */
    drain: seconds(MAX_TIMER).optional(),
  }).optional(),
});

export type Settings = z.output<typeof settingsSchema>;
