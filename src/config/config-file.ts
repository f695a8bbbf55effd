import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigError } from './config-error.ts';
import { CONFIG_FLAG, CONFIG_VARIABLE, type Flags } from './sources.ts';

const NAMES = ['arbor.config.js', 'arbor.config.mjs', 'arbor.config.ts'];

/** The configuration file that was asked for or lies in the working directory; absolute, or null. */
export const findConfigFile = (
  flags: Flags,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): string | null => {
  const asked = flags.config ?? (env[CONFIG_VARIABLE] || undefined);
  if (asked === undefined) return NAMES.map((name) => join(cwd, name)).find((path) => existsSync(path)) ?? null;
  const path = resolve(cwd, asked);
  const field = flags.config === undefined ? CONFIG_VARIABLE : CONFIG_FLAG;
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true)
    throw new ConfigError(field, `there is no file ${path}`);
  if (!/\.[cm]?[jt]s$/.test(path)) throw new ConfigError(field, `a .js, .mjs or .ts file, not ${basename(path)}`);
  return path;
};

/**
 * Loads a configuration file: its default export, or what that answers when it is a function. Everything that the
 * loader could read besides (`.env`, rc files, layers, package.json) is off, and Node itself imports the file, so nothing
 * is compiled or written.
 */
export const loadConfigFile = async (path: string): Promise<unknown> => {
  const field = 'default';
  const file = basename(path);
  try {
    const { loadConfig } = await import('c12');
    const load = async (id: string): Promise<unknown> => {
      const module = (await import(pathToFileURL(id).href)) as { readonly default?: unknown };
      const { default: exported } = module;
      if ((typeof exported !== 'object' && typeof exported !== 'function') || exported === null)
        throw new ConfigError(field, 'an object as default export', { file });
      return exported;
    };
    const { config } = await loadConfig({
      name: 'arbor',
      cwd: dirname(path),
      configFile: path,
      configFileRequired: true,
      rcFile: false,
      globalRc: false,
      dotenv: false,
      packageJson: false,
      extend: false,
      giget: false,
      envName: false,
      // Of the loader's interface c12 calls this alone.
      jiti: { import: load } as never,
    });
    return config;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError('the configuration', `could not be loaded: ${reason}`, { file, cause: error });
  }
};
