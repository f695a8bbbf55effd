import type { Command } from '../../machines/command.ts';

/** A module that is not a command. `module` is as it was given, `field` what of it is wrong. */
export class CommandModuleError extends Error {
  readonly module: string;
  readonly field: string;
  constructor(module: string, field: string, expected: string, cause?: unknown) {
    super(`commands: ${module}: ${field}: ${expected}`, cause === undefined ? {} : { cause });
    this.name = 'CommandModuleError';
    this.module = module;
    this.field = field;
  }
}

/** A module beside this one, with the extension of this very file, so that it holds in the sources and in the build. */
const beside = (name: string): string =>
  new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url).href;

const BUILT_IN = ['analyze', 'export'] as const;
const HELP = 'help';

/** The parameter of the URL of `help` that names a module; as often as there are others. */
export const MODULE_PARAMETER = 'module';

/**
 * The URLs of all command modules: the built-in ones and the configured ones (URLs as well). `help` has the others in
 * its own URL: so it knows them in whichever thread it is loaded, without anything shared.
 */
export const commandModules = (configured: readonly string[] = []): readonly string[] => {
  const others = [...BUILT_IN.map(beside), ...configured];
  const help = new URL(beside(HELP));
  for (const module of others) help.searchParams.append(MODULE_PARAMETER, module);
  return [help.href, ...others];
};

/** The shape of a command, whichever copy of this package or of zod made it. */
const isCommand = (value: unknown): value is Command => {
  const { facts, run, args, result, summary } = (value ?? {}) as Partial<Record<keyof Command, unknown>>;
  return (
    typeof (facts as Command['facts'] | undefined)?.name === 'string' &&
    typeof run === 'function' &&
    typeof summary === 'string' &&
    [args, result].every((schema) => typeof (schema as Command['args'] | undefined)?.safeParseAsync === 'function')
  );
};

const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] as string;

/** `help` without its parameters: what a person would call the module. */
const nameOf = (module: string): string => module.split('?', 1)[0] as string;

const loadCommand = async (module: string): Promise<Command> => {
  let exported: { readonly default?: unknown };
  try {
    exported = (await import(module)) as typeof exported;
  } catch (error) {
    throw new CommandModuleError(nameOf(module), 'module', `could not be loaded: ${reasonOf(error)}`, error);
  }
  if (!isCommand(exported.default)) {
    throw new CommandModuleError(nameOf(module), 'default', 'expected what defineCommand returns as default export');
  }
  return exported.default;
};

/**
 * Loads command modules (URLs, as `commandModules` gives them) and answers the commands by name, in that order. Throws
 * `CommandModuleError` for a module that cannot be loaded, whose default export is no command, or whose command has
 * the name of another.
 */
export const loadCommands = async (modules: readonly string[]): Promise<ReadonlyMap<string, Command>> => {
  const loaded = await Promise.all(modules.map(async (module) => ({ module, command: await loadCommand(module) })));
  const commands = new Map<string, Command>();
  const from = new Map<string, string>();
  for (const { module, command } of loaded) {
    const { name } = command.facts;
    const other = from.get(name);
    if (other !== undefined) {
      throw new CommandModuleError(nameOf(module), 'name', `${name} is the command of ${nameOf(other)} already`);
    }
    from.set(name, module);
    commands.set(name, command);
  }
  return commands;
};
