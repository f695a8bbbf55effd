import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Command, HandlerContext } from '../../../machines/command.ts';
import { ProblemError } from '../../../machines/error.ts';
import { commandModules, CommandModuleError, loadCommands } from '../../../src/commands/registry.ts';

const directory = mkdtempSync(join(tmpdir(), 'arbor-commands-'));
const machine = pathToFileURL(resolve(import.meta.dirname, '../../../machines/command.ts')).href;
const zod = import.meta.resolve('zod');

const moduleOf = (name: string, source: string): string => {
  const path = join(directory, name);
  writeFileSync(path, source);
  return pathToFileURL(path).href;
};
const commandSource = (name: string): string => `
import { defineCommand } from ${JSON.stringify(machine)};
import { z } from ${JSON.stringify(zod)};
const args = z.strictObject({ text: z.string().describe('What to say') });
export default defineCommand({ name: ${JSON.stringify(name)}, summary: 'Says it', args, result: z.string(), run: (ctx: { args: { text: string } }) => ctx.args.text });
`;

const failure = async (modules: readonly string[]): Promise<CommandModuleError> => {
  try {
    await loadCommands(modules);
  } catch (error) {
    if (error instanceof CommandModuleError) return error;
    throw error;
  }
  throw new Error('loaded');
};

const runHelp = (
  commands: ReadonlyMap<string, Command>,
  args: object,
): Promise<{ commands: Record<string, unknown>[] }> => {
  const help = commands.get('help') as Command;
  return help.run({ args: help.args.parse(args) } as HandlerContext<unknown> as HandlerContext<never>) as never;
};

const test = suite('registry');
test.after(() => rmSync(directory, { recursive: true, force: true }));

test('loads the built-in commands and those of modules, by name', async () => {
  const commands = await loadCommands(commandModules([moduleOf('say.ts', commandSource('say'))]));
  assert.equal([...commands.keys()].toSorted(), ['analyze', 'export', 'help', 'say']);
  const facts = (name: string) => {
    const { operation, risk, mode, resource } = (commands.get(name) as Command).facts;
    return [operation, risk, mode, resource];
  };
  assert.equal(facts('help'), ['read', 'minimal', 'sync', 'operations']);
  assert.equal(facts('analyze'), ['read', 'low', 'async', 'operations']);
  assert.equal(facts('export'), ['read', 'high', 'async', 'operations']);
  assert.equal(facts('say'), ['write', 'medium', 'async', 'operations']);
});

test('a module that fails to load is named', async () => {
  const absent = pathToFileURL(join(directory, 'absent.ts')).href;
  const broken = moduleOf('broken.ts', 'throw new Error("first\\nsecond");');
  for (const module of [absent, broken]) {
    const error = await failure(commandModules([module]));
    assert.equal([error.module, error.field], [module, 'module']);
    assert.ok(error.message.startsWith(`commands: ${module}: module: could not be loaded`));
    assert.not.match(error.message, '\n');
    assert.ok(error.cause instanceof Error);
  }
});

test('a module without a command as its default export is named', async () => {
  const wrong = [
    'export const a = 1;',
    'export default {};',
    'export default null;',
    'export default { facts: { name: "a" }, run() {} };',
  ];
  for (const [i, source] of wrong.entries()) {
    const module = moduleOf(`wrong-${i}.ts`, source);
    const error = await failure([module]);
    assert.equal([error.module, error.field], [module, 'default']);
  }
});

test('a wrong declaration is named with its field', async () => {
  const module = moduleOf('bad-name.ts', commandSource('Bad Name'));
  assert.match((await failure([module])).message, 'name: expected');
});

test('a name that is taken is named with both modules', async () => {
  const first = moduleOf('first.ts', commandSource('same'));
  const second = moduleOf('second.ts', commandSource('same'));
  const error = await failure([first, second]);
  assert.equal([error.module, error.field], [second, 'name']);
  assert.match(error.message, first);
  const taken = await failure(commandModules([moduleOf('help.ts', commandSource('help'))]));
  assert.is(taken.field, 'name');
});

test.run();

const help = suite('help');

help('lists all commands with schema, risk and operation', async () => {
  const directoryOfHelp = mkdtempSync(join(tmpdir(), 'arbor-help-'));
  try {
    const path = join(directoryOfHelp, 'say & run.ts');
    writeFileSync(path, commandSource('say'));
    const loaded = await loadCommands(commandModules([pathToFileURL(path).href]));
    const all = await runHelp(loaded, {});
    assert.ok((loaded.get('help') as Command).result.safeParse(all).success);
    assert.equal(
      all.commands.map(({ name }) => name),
      ['analyze', 'export', 'help', 'say'],
    );
    const { commands: one } = await runHelp(loaded, { command: 'say' });
    assert.is(one.length, 1);
    assert.equal(one[0], {
      name: 'say',
      summary: 'Says it',
      operation: 'write',
      resource: 'operations',
      risk: 'medium',
      mode: 'async',
      timeout: 1800,
      confirmations: 0,
      args_schema: {
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        type: 'object',
        properties: { text: { type: 'string', description: 'What to say' } },
        required: ['text'],
        additionalProperties: false,
      },
    });
    // As an agent thread has it: nothing but the modules, in another thread.
    const registry = new URL('../../../src/commands/registry.ts', import.meta.url).href;
    const worker = new Worker(
      `import { parentPort, workerData } from 'node:worker_threads';
       const commands = new Map();
       for (const module of workerData.modules) { const { default: command } = await import(module); commands.set(command.facts.name, command); }
       parentPort.postMessage(await commands.get('help').run({ args: {} }));`,
      { eval: true, workerData: { registry, modules: commandModules([pathToFileURL(path).href]) } },
    );
    const inThread = await new Promise((done, fail) => worker.once('message', done).once('error', fail));
    await worker.terminate();
    assert.equal(inThread, all);
  } finally {
    rmSync(directoryOfHelp, { recursive: true, force: true });
  }
});

help('refuses a name that is none, naming the field', async () => {
  const loaded = await loadCommands(commandModules());
  try {
    await runHelp(loaded, { command: 'absent' });
    assert.unreachable();
  } catch (error) {
    assert.instance(error, ProblemError);
    const { code, errors } = (error as ProblemError).problem;
    assert.equal(
      [code, errors],
      ['unknown_command', [{ field: 'args.command', expected: 'one of analyze, export, help' }]],
    );
  }
});

help.run();
