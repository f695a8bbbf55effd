import { spawn, type ChildProcess } from 'node:child_process';
import { resolve } from 'node:path';
import { createFakeGateway, TOKEN, type FakeGateway } from '../client/fake-gateway.ts';

const MAIN = resolve(import.meta.dirname, '../../../src/cli/main.ts');
const LIMIT_MS = 20_000;

export interface StartedArbor {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
}

/** A fake gateway and the processes that are started against it. */
export interface ArborContext {
  gateway: FakeGateway;
  children: ChildProcess[];
}

export const openArbor = async (context: ArborContext): Promise<void> => {
  context.children = [];
  context.gateway = await createFakeGateway();
};

export const closeArbor = async ({ gateway, children }: ArborContext): Promise<void> => {
  for (const child of children) child.kill('SIGKILL');
  await gateway.close();
};

interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input; none without it. */
  readonly input?: string;
  readonly cwd?: string;
}

const { PATH, NODE_COMPILE_CACHE } = process.env;
const INHERITED = { PATH, NODE_COMPILE_CACHE };

/** Starts the command line with the token that the fake gateway knows. */
export const startArbor = (
  { gateway, children }: ArborContext,
  args: readonly string[],
  { env = {}, input, cwd }: StartOptions = {},
): StartedArbor => {
  const child = spawn(process.execPath, [MAIN, ...args], {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...INHERITED, ARBOR_URL: gateway.http, ARBOR_TOKEN: TOKEN, ...env },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  children.push(child);
  child.stdin?.end(input);
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    ended: new Promise((done) => child.once('close', (code) => done({ code, stdout, stderr }))),
  };
};
