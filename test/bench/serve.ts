import { fileURLToPath } from 'node:url';
import { createWorkspace, type Json, type ServerProcess, type Workspace } from '../support/server.ts';

const commandFile = (name: string): string => fileURLToPath(new URL(`./commands/${name}.ts`, import.meta.url));

/** A server in a process of its own, with these of the benchmark's commands; it ends with the workspace. */
export const serve = async (
  commands: readonly string[],
  settings: object,
): Promise<{ readonly workspace: Workspace; readonly server: ServerProcess }> => {
  const workspace = createWorkspace();
  const config = workspace.config({ commands: commands.map(commandFile), ...settings });
  return { workspace, server: await workspace.serve({ config, env: { ARBOR_LOG_LEVEL: 'silent' } }) };
};

/** The answer's body, where it is as asked. */
export const asked = async (server: ServerProcess, ...call: Parameters<ServerProcess['call']>): Promise<Json> => {
  const { status, body, text } = await server.call(...call);
  if (status >= 300) throw new Error(`${call[0]} ${call[1]}: ${text}`);
  return body;
};
