import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UsageError } from './errors.ts';

/** The options that every subcommand has. */
export interface GlobalOptions {
  readonly url?: string;
  readonly data?: string;
  readonly token?: string;
}

export interface Settings {
  readonly url: string;
  /** An API key, or the token of a client. */
  readonly token: string;
}

/** The same of one who may come without credentials. */
export interface GivenSettings {
  readonly url: string;
  readonly token: string | null;
}

type Environment = Readonly<Record<string, string | undefined>>;

export const DEFAULT_URL = 'http://127.0.0.1:7070';
const DEFAULT_DATA = '.arbor';
const CREDENTIALS = 'credentials.json';

/** The server's data directory: `--data`, then `ARBOR_DATA`, then the default of `arbor serve`. */
export const dataOf = (options: GlobalOptions, env: Environment = process.env): string =>
  options.data ?? (env['ARBOR_DATA'] || DEFAULT_DATA);

/** Where the server is: `--url`, then `ARBOR_URL`, then the default of `arbor serve`. */
const urlOf = (options: GlobalOptions, env: Environment): string => {
  const url = options.url ?? env['ARBOR_URL'] ?? DEFAULT_URL;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new UsageError(`--url: expected an address like ${DEFAULT_URL}, got ${url}`);
  return url;
};

/** What was given outright to log in with: `--token`, then `ARBOR_TOKEN`; null where it was neither. */
const tokenOf = (options: GlobalOptions, env: Environment): string | null =>
  (options.token ?? env['ARBOR_TOKEN']) || null;

/**
 * Where the server is and what to log in with: `--token`, then `ARBOR_TOKEN`, then the credentials that the server has
 * written into its data directory (`--data`, `ARBOR_DATA`, `.arbor` of the working directory).
 */
export const readSettings = async (options: GlobalOptions, env: Environment = process.env): Promise<Settings> => {
  const url = urlOf(options, env);
  const given = tokenOf(options, env);
  if (given !== null) return { url, token: given };
  const path = join(dataOf(options, env), CREDENTIALS);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new UsageError(
      `no credentials: ${path} cannot be read. Start the server here with "arbor serve", or give --data, --token or ARBOR_TOKEN`,
      { cause },
    );
  }
  return { url, token: keyIn(text, path) };
};

/**
 * The same without the credentials of the data directory: who joins by a share is not to become the operator because of a
 * file that happens to lie in the working directory.
 */
export const readGivenSettings = (options: GlobalOptions, env: Environment = process.env): GivenSettings => ({
  url: urlOf(options, env),
  token: tokenOf(options, env),
});

/** The API key in the text of `credentials.json`. */
const keyIn = (text: string, path: string): string => {
  let key: unknown;
  try {
    key = (JSON.parse(text) as { api_key?: unknown }).api_key;
  } catch {
    key = undefined;
  }
  if (typeof key !== 'string' || key === '') throw new UsageError(`${path}: expected JSON with an api_key`);
  return key;
};
