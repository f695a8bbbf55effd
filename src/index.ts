import type { Server, ServerOptions } from './start.ts';

export { defineCommand } from '../machines/command.ts';
export type { Command, CommandDeclaration, HandlerContext } from '../machines/command.ts';
export { ProblemError, TerminalError, type Problem } from '../machines/error.ts';
export type { Server, ServerOptions } from './start.ts';

/**
 * Starts a gateway in this process. The server is loaded with the first call, so that a module of commands may import
 * this package without it. Rejects with an `Error` that has a `field` where it cannot start as it was asked to.
 */
export const createGateway = async (options?: ServerOptions): Promise<Server> => {
  const { startServer } = await import('./start.ts');
  return startServer(options);
};
