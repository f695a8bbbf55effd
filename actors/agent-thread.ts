import { flushCompileCache } from 'node:module';
import { threadId } from 'node:worker_threads';
import { loadCommands } from './agent-commands.ts';
import type { AgentTask, PoolMethods, RunLine, ThreadMethods } from './agent-messages.ts';
import { createRunner, type Runner } from './agent-runner.ts';
import { stopwatch } from './clock.ts';
import { createRpc } from './rpc.ts';

/**
 * The long-lived Piscina task that runs handlers. It never resolves: the pool ends it with its thread. Worker threads
 * isolate faults, not malice.
 */
export default ({ port, modules, roots, dataDirectory, artifacts, claims }: AgentTask): Promise<never> => {
  let runner: Runner | null = null;

  const load = async (): Promise<{ readonly threadId: number }> => {
    runner = createRunner({
      commands: await loadCommands(modules),
      claims: new Int32Array(claims),
      roots,
      dataDirectory,
      artifacts,
      pool,
      now: stopwatch,
      send: (end) => port.postMessage(JSON.stringify(end)),
      leave: () => process.exit(1),
    });
    // Where compiled code is kept: a thread that is ended with its process writes nothing.
    flushCompileCache();
    return { threadId };
  };
  const methods: ThreadMethods = {
    load,
    abort: (n, reason) => runner?.abort(n, reason),
    credit: (n, bytes) => runner?.credit(n, bytes),
    recorded: (n, key) => runner?.recorded(n, key),
  };
  const pool = createRpc<PoolMethods>(port, methods);

  port.on('message', (message: unknown) => {
    if (typeof message === 'string') runner?.take(JSON.parse(message) as RunLine[]);
  });
  // Unhandled rejections come here as well (Node's default). The port is drained by the pool also after the exit.
  process.on('uncaughtException', (error) => {
    if (runner === null) process.exit(1);
    runner.crashed(error);
  });
  return new Promise<never>(() => {});
};
