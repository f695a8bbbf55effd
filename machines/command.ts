import { z } from 'zod';
import type { Operation, Risk } from './capability.ts';
import type { SessionId } from './id.ts';
import { markedSecret } from './mask.ts';

/** Whether a call without `Prefer` waits for the end (30 s) or not at all. */
export type Mode = 'sync' | 'async';

/** What of a command's declaration goes round the ring: plain data, no schema, no handler. */
export interface CommandFacts {
  readonly name: string;
  readonly operation: Operation;
  readonly resource: 'operations' | 'mcp_tool';
  readonly risk: Risk;
  /** Its decisions are in the audit; always so at high risk. */
  readonly audit: boolean;
  /** Fields of its arguments that are never shown, besides those whose name says it; absent where there are none. */
  readonly secrets?: readonly string[];
  readonly mode: Mode;
  /** Seconds from acceptance, queueing included. */
  readonly timeout: number;
  /** How often a run may be started in all, at least 1. */
  readonly max_attempts: number;
}

/** What a handler is given besides its arguments. Every method may be awaited; none needs to be. */
export interface HandlerContext<Args> {
  readonly args: Args;
  /** Aborted on cancel, timeout and shutdown; the thread is ended after a grace time. */
  readonly signal: AbortSignal;
  readonly session: { readonly id: SessionId };
  readonly execution: { readonly id: string };
  /** 1 for the first run; a crash counts. */
  readonly attempt: number;
  /** Stable over all attempts of this execution. */
  readonly idempotencyKey: string;
  /** Directories under which the command may read, absolute. */
  readonly roots: readonly string[];
  /** 0 to 100. Merged to at most 10 events a second; the latest counts; clamped so that it never falls. */
  progress(progress: number, message?: string, metadata?: Record<string, unknown>): void;
  /** Text to a stream. Never dropped: resolves when there is room, so await it when writing much. */
  output(chunk: string, stream?: 'stdout' | 'stderr'): Promise<void>;
  /** A line in the server's log, not an event. */
  log(message: string, fields?: Record<string, unknown>): void;
  /** Writes a named file next to the result: written aside, synced, renamed. Resolves with size and SHA-256. */
  artifact(name: string, content: string | Uint8Array, mediaType?: string): Promise<ArtifactInfo>;
}

export interface ArtifactInfo {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly media_type: string;
}

/** What the author of a command writes. */
export interface CommandDeclaration<Args extends z.ZodType, Result extends z.ZodType> {
  /** Lower case, digits, `_`, `-`, `/`; unique. */
  readonly name: string;
  /** One sentence for `help` and the documents. */
  readonly summary: string;
  /** A field marked `.meta({ secret: true })` is shown to nobody but the handler. */
  readonly args: Args;
  readonly result: Result;
  /** What a capability must allow; default `write`. */
  readonly operation?: Operation;
  readonly resource?: 'operations' | 'mcp_tool';
  /** Default `medium`. */
  readonly risk?: Risk;
  /** Whether its decisions are in the audit; default at high risk only, where it cannot be turned off. */
  readonly audit?: boolean;
  /** Default `async`. */
  readonly mode?: Mode;
  /** Seconds from acceptance; default 1800. */
  readonly timeout?: number;
  /** How often it is tried again after a crash or a retryable error; default 3. */
  readonly retry?: { readonly limit: number };
  /** Bytes of output before the execution ends with `output_exceeded`; default 64 MiB. */
  readonly max_output?: number;
  run(ctx: HandlerContext<z.output<Args>>): Promise<z.input<Result>> | z.input<Result>;
}

/** A command as the system holds it: every default filled in. */
export interface Command {
  readonly facts: CommandFacts;
  readonly summary: string;
  readonly args: z.ZodType;
  readonly result: z.ZodType;
  readonly maxOutput: number;
  readonly run: (ctx: HandlerContext<never>) => unknown;
}

const NAME = /^[a-z][a-z0-9_/-]{0,63}$/;

/** Declares a command. Throws a `TypeError` that names the field when the declaration is wrong. */
export const defineCommand = <Args extends z.ZodType, Result extends z.ZodType>(
  declaration: CommandDeclaration<Args, Result>,
): Command => {
  const { name, timeout = 1800, retry = { limit: 3 }, max_output: maxOutput = 64 * 1024 * 1024 } = declaration;
  if (!NAME.test(name)) throw new TypeError(`name: expected ${NAME}, got ${JSON.stringify(name)}`);
  if (!(timeout > 0)) throw new TypeError(`timeout of ${name}: expected a positive number of seconds`);
  if (!(Number.isInteger(retry.limit) && retry.limit >= 0))
    throw new TypeError(`retry.limit of ${name}: expected a whole number from 0`);
  const secrets = markedSecret(z.toJSONSchema(declaration.args, { io: 'input', unrepresentable: 'any' }));
  return Object.freeze({
    facts: Object.freeze({
      name,
      operation: declaration.operation ?? 'write',
      resource: declaration.resource ?? 'operations',
      risk: declaration.risk ?? 'medium',
      audit: declaration.risk === 'high' || declaration.audit === true,
      ...(secrets.length > 0 ? { secrets } : {}),
      mode: declaration.mode ?? 'async',
      timeout,
      max_attempts: retry.limit + 1,
    }),
    summary: declaration.summary,
    args: declaration.args,
    result: declaration.result,
    maxOutput,
    run: declaration.run as Command['run'],
  });
};
