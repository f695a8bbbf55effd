import type { Command } from '../machines/command.ts';

const isCommand = (value: unknown): value is Command => {
  const { facts, args, result, run } = (value ?? {}) as Partial<Command>;
  return typeof facts?.name === 'string' && args !== undefined && result !== undefined && typeof run === 'function';
};

/** Loads commands by name. Throws an error that names the module and what is wrong with it. */
export const loadCommands = async (modules: readonly string[]): Promise<ReadonlyMap<string, Command>> => {
  const commands = new Map<string, Command>();
  for (const module of modules) {
    let loaded: { readonly default?: unknown };
    try {
      loaded = (await import(module)) as typeof loaded;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`the command module ${module} could not be loaded: ${why}`, { cause: error });
    }
    const command = loaded.default;
    if (!isCommand(command)) throw new Error(`the command module ${module} has no defineCommand as its default export`);
    const { name } = command.facts;
    if (commands.has(name)) throw new Error(`the command module ${module} defines ${name}, which is there already`);
    commands.set(name, command);
  }
  return commands;
};
