import { delimiter } from 'node:path';

/** What the command line gives; all of it text. */
export interface Flags {
  readonly data?: string | undefined;
  readonly http?: string | undefined;
  readonly mqtt?: string | undefined;
  readonly config?: string | undefined;
}

/** One value from outside a file, and where it goes. */
interface Source {
  readonly path: readonly [string] | readonly [string, string];
  readonly flag?: keyof Flags;
  readonly flagName?: string;
  readonly variable: string;
  readonly read?: (text: string) => unknown;
}

const list = (text: string): string[] => text.split(delimiter).filter((part) => part !== '');
/** What is no number stays text, for the schema to refuse. */
const number = (text: string): unknown => (/^\d+(?:\.\d+)?$/.test(text.trim()) ? Number(text) : text);

const SOURCES: readonly Source[] = [
  { path: ['data'], flag: 'data', flagName: '--data', variable: 'ARBOR_DATA' },
  { path: ['http'], flag: 'http', flagName: '--http', variable: 'ARBOR_HTTP' },
  { path: ['mqtt'], flag: 'mqtt', flagName: '--mqtt', variable: 'ARBOR_MQTT' },
  { path: ['log', 'level'], variable: 'ARBOR_LOG_LEVEL' },
  { path: ['roots'], variable: 'ARBOR_ROOTS', read: list },
  { path: ['commands'], variable: 'ARBOR_COMMANDS', read: list },
  { path: ['agents', 'threads'], variable: 'ARBOR_AGENT_THREADS', read: number },
  { path: ['shards', 'workers'], variable: 'ARBOR_SHARD_WORKERS', read: number },
  { path: ['retention'], variable: 'ARBOR_RETENTION', read: number },
];

/** Settings still to be checked, and what a person calls each of their fields. */
export interface Given {
  readonly settings: Record<string, unknown>;
  readonly names: ReadonlyMap<string, string>;
}

const gather = (pick: (source: Source) => { name: string; text: string | undefined } | null): Given => {
  const settings: Record<string, unknown> = {};
  const names = new Map<string, string>();
  for (const source of SOURCES) {
    const { name, text } = pick(source) ?? {};
    if (name === undefined || text === undefined) continue;
    const [first, second] = source.path;
    const value = source.read === undefined ? text : source.read(text);
    names.set(source.path.join('.'), name);
    if (second === undefined) settings[first] = value;
    else settings[first] = { ...(settings[first] as object | undefined), [second]: value };
  }
  return { settings, names };
};

export const fromFlags = (flags: Flags): Given =>
  gather(({ flag, flagName }) => (flag && flagName ? { name: flagName, text: flags[flag] } : null));

/** `ARBOR_*`; an empty variable counts as none. Lists are divided as `PATH` is. */
export const fromEnvironment = (env: Readonly<Record<string, string | undefined>>): Given =>
  gather(({ variable }) => ({ name: variable, text: env[variable] || undefined }));

export const CONFIG_VARIABLE = 'ARBOR_CONFIG';
export const CONFIG_FLAG = '--config';
