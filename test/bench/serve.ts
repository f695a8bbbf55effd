import { fileURLToPath } from 'node:url';
import { createWorkspace, SHIPPED_MAIN, type Json, type ServerProcess, type Workspace } from '../support/server.ts';

const commandFile = (name: string): string =>
  name.includes('/') ? name : fileURLToPath(new URL(`./commands/${name}.ts`, import.meta.url));

export interface Served {
  readonly workspace: Workspace;
  readonly server: ServerProcess;
  /** From the start of its process to the first 200 of `/readyz`. */
  readonly ms: number;
  /** Starts a server on the same data, after the end of the last. */
  again(): Promise<Pick<Served, 'server' | 'ms'>>;
}

/**
 * The server as it is shipped, in a process of its own, with these of the benchmark's commands, or those in these files; it ends with the workspace, or after
 * `lifeMs`.
 */
export const serve = async (commands: readonly string[], settings: object, lifeMs?: number): Promise<Served> => {
  const workspace = createWorkspace(SHIPPED_MAIN);
  const config = workspace.config({ commands: commands.map(commandFile), ...settings });
  const env = { ARBOR_LOG_LEVEL: 'silent' };
  const again: Served['again'] = async () => {
    const started = performance.now();
    const server = await workspace.serve({ config, env, ...(lifeMs === undefined ? {} : { lifeMs }) });
    await asked(server, 'GET', '/readyz');
    return { server, ms: performance.now() - started };
  };
  return { workspace, ...(await again()), again };
};

/** The answer's body; throws where it was refused. */
export const asked = async (server: ServerProcess, ...call: Parameters<ServerProcess['call']>): Promise<Json> => {
  const { status, body, text } = await server.call(...call);
  if (status >= 300) throw new Error(`${call[0]} ${call[1]}: ${text}`);
  return body;
};
