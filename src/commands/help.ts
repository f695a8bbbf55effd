import { z } from 'zod';
import { defineCommand, type Command } from '../../machines/command.ts';
import { ProblemError } from '../../machines/error.ts';
import { commandSchema } from '../operations/commands.ts';
import { describeCommand } from './describe-command.ts';
import { loadCommands, MODULE_PARAMETER } from './registry.ts';

/** What a caller needs to use a command. */
const helpSchema = commandSchema.omit({ result_schema: true }).meta({ id: 'CommandHelp' });
type Help = z.infer<typeof helpSchema>;

const helpOf = (command: Command): Help => {
  const { result_schema: _, ...help } = describeCommand(command);
  return help;
};

let others: Promise<readonly Command[]> | null = null;

/** The commands beside this one, from the modules that this module's URL names; loaded once, when first asked for. */
const otherCommands = (): Promise<readonly Command[]> => {
  const modules = new URL(import.meta.url).searchParams.getAll(MODULE_PARAMETER);
  others ??= loadCommands(modules).then(
    (commands) => [...commands.values()],
    (error: unknown) => {
      others = null;
      throw error;
    },
  );
  return others;
};

/** Tells what commands there are, or of one: what it does, its arguments, its risk and what it needs. */
const help: Command = defineCommand({
  name: 'help',
  summary: 'Tells what commands there are, or what one of them does and takes',
  args: z.strictObject({
    command: z
      .string('the name of a command')
      .min(1, 'the name of a command')
      .max(64, 'the name of a command')
      .optional(),
  }),
  result: z.strictObject({ commands: z.array(helpSchema).describe('By name; only the one that was asked for') }),
  operation: 'read',
  risk: 'minimal',
  mode: 'sync',
  run: async ({ args: { command: wanted } }) => {
    const commands = [help, ...(await otherCommands())].toSorted((a, b) => (a.facts.name < b.facts.name ? -1 : 1));
    if (wanted === undefined) return { commands: commands.map(helpOf) };
    const found = commands.find(({ facts }) => facts.name === wanted);
    if (found !== undefined) return { commands: [helpOf(found)] };
    const names = commands.map(({ facts }) => facts.name).join(', ');
    throw new ProblemError('unknown_command', 'there is no such command', {
      more: { errors: [{ field: 'args.command', expected: `one of ${names}` }] },
    });
  },
});

export default help;
