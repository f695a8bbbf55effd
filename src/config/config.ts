import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { z } from 'zod';
import { DEFAULT_GRANTS, type ClientType, type Grant } from '../../machines/capability.ts';
import { fieldErrors } from '../../machines/error.ts';
import type { JwtIssuer } from '../gateway/jwt.ts';
import { DEFAULT_GATEWAY_LIMITS, type GatewayLimits } from '../gateway/limits.ts';
import type { ConfiguredRateLimits } from '../gateway/principal-limits.ts';
import { jwtIssuerOf } from './auth.ts';
import { ConfigError } from './config-error.ts';
import { findConfigFile, loadConfigFile } from './config-file.ts';
import { settingsSchema, type HostPort, type Settings } from './schema.ts';
import { fromEnvironment, fromFlags, type Flags, type Given } from './sources.ts';

/** The configuration of a server: every default filled in, every path absolute. Frozen. */
export interface Config {
  /** The file it is from, or null. */
  readonly file: string | null;
  readonly data: string;
  readonly http: HostPort;
  readonly mqtt: HostPort;
  /** Existing directories. */
  readonly roots: readonly string[];
  /** URLs of existing files. */
  readonly commands: readonly string[];
  readonly log: { readonly level: string };
  readonly agents: { readonly threads: number };
  readonly shards: { readonly workers: number };
  readonly retentionMs: number;
  readonly auditRetentionMs: number;
  readonly limits: GatewayLimits;
  /** What each type of client is granted. */
  readonly grants: Readonly<Record<ClientType, readonly Grant[]>>;
  /** Accepted commands of one principal and command in 60 minutes; what is left out follows from `grants`. */
  readonly principalRateLimit: ConfiguredRateLimits;
  /** Whose JWTs are believed; null for nobody's. */
  readonly auth: JwtIssuer | null;
  /** `allow`: ranges (CIDR) that webhooks may be sent to although they are not public. */
  readonly webhooks: { readonly allow: readonly string[] };
  /** The time for what is under way on SIGTERM. */
  readonly drainMs: number;
}

export interface ConfigSources {
  readonly flags?: Flags;
  /** Default the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default the process's. */
  readonly cwd?: string;
}

const DEFAULT_RETENTION = 7 * 24 * 3600;
const DEFAULT_AUDIT_RETENTION = 365 * 24 * 3600;
const DEFAULT_DRAIN = 30;

/** What a field should have been; zod's own words for a field that there is not are no help. */
const expectationOf = (issue: z.core.$ZodIssue | undefined): string => {
  if (issue?.code !== 'unrecognized_keys')
    return `expected ${issue === undefined ? 'something else' : fieldErrors({ issues: [issue] })[0]?.expected}`;
  return issue.message.startsWith('only ') ? `is no field; expected ${issue.message}` : 'is no field';
};

/** Checks what one source gives and makes its paths absolute, by `base`; errors name the source's own word for a field. */
const check = (given: unknown, names: ReadonlyMap<string, string>, base: string, file?: string): Settings => {
  const checked = settingsSchema.safeParse(given);
  const nameOf = (path: string): string => names.get(path) ?? names.get(path.replace(/\.\d+$/, '')) ?? path;
  if (!checked.success) {
    const [issue] = checked.error.issues;
    const unknown = issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
    const path = [...(issue?.path ?? []), ...unknown].join('.');
    throw new ConfigError(nameOf(path) || 'default', expectationOf(issue), { file });
  }
  const { data, roots, commands, auth } = checked.data;
  const existing = (path: string, field: string, kind: 'directory' | 'file'): string => {
    const absolute = resolve(base, path);
    const entry = statSync(absolute, { throwIfNoEntry: false });
    if (kind === 'directory' ? entry?.isDirectory() : entry?.isFile()) return absolute;
    throw new ConfigError(nameOf(field), `there is no ${kind} ${absolute}`, { file });
  };
  return {
    ...checked.data,
    ...(data === undefined ? {} : { data: resolve(base, data) }),
    ...(roots === undefined ? {} : { roots: roots.map((root, i) => existing(root, `roots.${i}`, 'directory')) }),
    ...(commands === undefined
      ? {}
      : { commands: commands.map((module, i) => pathToFileURL(existing(module, `commands.${i}`, 'file')).href) }),
    ...(auth?.jwks === undefined ? {} : { auth: { ...auth, jwks: existing(auth.jwks, 'auth.jwks', 'file') } }),
  };
};

const freeze = <T extends object>(value: T): T => {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) freeze(part);
  return Object.freeze(value);
};

/** Only what is said: an optional field may be there without a value. */
const said = <T extends object>(value: T | undefined): Partial<T> =>
  Object.fromEntries(Object.entries(value ?? {}).filter(([, part]) => part !== undefined)) as Partial<T>;

const merged = (first: Settings, then: Settings): Settings => ({
  ...first,
  ...said(then),
  log: { ...first.log, ...said(then.log) },
  agents: { ...first.agents, ...said(then.agents) },
  shards: { ...first.shards, ...said(then.shards) },
  limits: { ...first.limits, ...said(then.limits) },
});

const limitsOf = (limits: Settings['limits'] = {}): GatewayLimits => {
  const { body_bytes, queued_executions, streams, in_flight, failed_logins, grace, stalled } = limits;
  return {
    ...DEFAULT_GATEWAY_LIMITS,
    ...said({
      bodyBytes: body_bytes,
      queuedExecutions: queued_executions,
      streams,
      inFlight: in_flight,
      failedLogins: failed_logins,
      graceMs: grace === undefined ? undefined : grace * 1000,
      stalledMs: stalled === undefined ? undefined : stalled * 1000,
    }),
  } as GatewayLimits;
};

/**
 * Reads the configuration (contract, section 11): flags before `ARBOR_*` variables before the file before defaults.
 * Reads no other file but the one of `auth.jwks` and writes nothing. Throws `ConfigError`, whose message is one line that names the flag, the
 * variable or the field.
 */
export const loadConfig = async ({
  flags = {},
  env = process.env,
  cwd = process.cwd(),
}: ConfigSources): Promise<Config> => {
  const checkGiven = ({ settings, names }: Given): Settings => check(settings, names, cwd);
  const fromOutside = merged(checkGiven(fromEnvironment(env)), checkGiven(fromFlags(flags)));
  const file = findConfigFile(flags, env, cwd);
  const fromFile = file === null ? {} : check(await loadConfigFile(file), new Map(), dirname(file), basename(file));
  const settings = merged(fromFile, fromOutside);
  const { cli, web, api, principal_rate_limit } = settings.policy ?? {};
  return freeze({
    file,
    data: settings.data ?? resolve(cwd, '.arbor'),
    http: settings.http ?? { host: '127.0.0.1', port: 7070 },
    mqtt: settings.mqtt ?? { host: '127.0.0.1', port: 1883 },
    roots: settings.roots ?? [cwd],
    commands: settings.commands ?? [],
    log: { level: settings.log?.level ?? 'info' },
    agents: { threads: settings.agents?.threads ?? Math.max(2, availableParallelism()) },
    shards: { workers: settings.shards?.workers ?? 2 },
    retentionMs: (settings.retention ?? DEFAULT_RETENTION) * 1000,
    auditRetentionMs: (settings.audit_retention ?? DEFAULT_AUDIT_RETENTION) * 1000,
    limits: limitsOf(settings.limits),
    grants: { cli: cli ?? DEFAULT_GRANTS.cli, web: web ?? DEFAULT_GRANTS.web, api: api ?? DEFAULT_GRANTS.api },
    principalRateLimit: principal_rate_limit ?? {},
    auth: await jwtIssuerOf(settings.auth, file === null ? undefined : basename(file)),
    webhooks: { allow: settings.webhooks?.allow ?? [] },
    drainMs: (settings.limits?.drain ?? DEFAULT_DRAIN) * 1000,
  });
};
