import { z } from 'zod';
import { RETRY_BACKOFF, type Backoff } from './backoff.ts';
import type { Operation, Risk } from './capability.ts';
import { fieldErrors } from './error.ts';
import type { SessionId } from './id.ts';
import { markedSecret } from './mask.ts';
import { rulesSchema } from './question-schema.ts';
import type { Confirmation, ConfirmationRequest, Rules } from './question.ts';

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
  /** How often it may be tried in all, at least 1. */
  readonly max_attempts: number;
  /** Between two attempts; absent for the default, 1 s doubled up to 60 s, with full jitter. */
  readonly backoff?: Backoff;
  /** Who has to say yes before it starts; absent where nobody has to. */
  readonly confirmations?: Rules;
}

/** What a handler is given besides its arguments. Every method may be awaited; none needs to be. */
export interface HandlerContext<Args> {
  readonly args: Args;
  /** Aborted on cancel, timeout and shutdown; the thread is ended after a grace time. */
  readonly signal: AbortSignal;
  readonly session: { readonly id: SessionId };
  readonly execution: { readonly id: string };
  /** 1 for the first run, one more with each retry; a crash counts, waking from a sleep does not. */
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
  /**
   * Writes a named file next to the result: written aside, synced, renamed. Resolves with size and SHA-256. Content that
   * comes in pieces is asked for the next one only when the last is written, so it may be larger than memory.
   */
  artifact(name: string, content: ArtifactContent, mediaType?: string): Promise<ArtifactInfo>;
  /**
   * Runs `fn` once for this execution: what it resolves with is on disk before the step resolves, and a later run, after a
   * retry, a sleep or a crash, gets it from there. Only what is in a step is not run again, and a crash between the end of
   * `fn` and the record runs `fn` again: give `idempotencyKey` to whoever it calls. What a step throws is not recorded.
   *
   * The result is JSON, `undefined` included, of at most 16 KiB; an execution has at most 100 steps with 256 KiB in all.
   * Rejects with a `ProblemError`: `conflict` where the name was used in this run before, `too_large` beyond a bound,
   * `result_invalid` for what JSON cannot hold, `invalid_input` for a name that is not 1 to 128 characters.
   */
  step<Value>(name: string, fn: () => Value | Promise<Value>): Promise<Value>;
  /**
   * Waits, over restarts and without a thread: where no step and no artifact is under way, the run ends here, and when
   * the time has come the handler is run again **from the top**: finished steps and sleeps pass at once, and what is
   * outside a step runs again. What else it was doing is abandoned. A sleep that nobody waits for any more, as one that lost
   * a race, still ends the run as soon as the handler awaits anything but a step or an artifact.
   *
   * Several at a time wait side by side: the first that comes wakes the execution. `Promise.race` with a step is a timeout
   * for the step. A sleep is known by its name, or without one by its place among those without one in a run, so that a
   * handler has to ask for them in the same order each time. The time does not count to `timeout`.
   *
   * Rejects with a `ProblemError`: `invalid_input` for what is not 0 ms to 30 days, `conflict` where the name was used in
   * this run before, `too_large` beyond 100 sleeps.
   */
  sleep(ms: number, name?: string): Promise<void>;
  /**
   * Asks the people of the session (contract, section 7) and waits for the outcome as `sleep` waits for its time: over
   * restarts, without a thread, and the handler is run again from the top. Whoever started the execution does not count.
   * What they see hides secrets: `details` is masked as arguments are.
   *
   * Resolves with the outcome, whatever it is. A question is known by its name, or by its place among those without one.
   * Rejects with a `ProblemError`: `invalid_input` names the field, `conflict` where the name was used in this run before,
   * `too_large` beyond 20 questions or 16 KiB of details.
   */
  confirm(question: ConfirmationRequest, name?: string): Promise<Confirmation>;
}

/** Bytes, or text to be written as UTF-8: at once, or piece by piece. */
export type ArtifactContent = string | Uint8Array | AsyncIterable<string | Uint8Array>;

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
  /**
   * How often it is tried again after a crash or an error that is not terminal, up to 100; default 3. Before the nth retry
   * is a random time from 0 to `base_ms` · 2^(n − 1), at most `cap_ms`; default 1,000 and 60,000, up to a day.
   */
  readonly retry?: { readonly limit: number; readonly base_ms?: number; readonly cap_ms?: number };
  /**
   * Confirmations before it starts (contract, section 7): how many, or by what rules. Voters see the arguments with their
   * secrets masked.
   */
  readonly confirmations?: number | z.input<typeof rulesSchema>;
  /** Bytes of output before the execution ends with `output_exceeded`; default 64 MiB. */
  readonly max_output?: number;
  run(ctx: HandlerContext<z.output<Args>>): Promise<z.input<Result>> | z.input<Result>;
}

type Retry = NonNullable<CommandDeclaration<z.ZodType, z.ZodType>['retry']>;

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
const MAX_RETRIES = 100;
const DAY_MS = 24 * 60 * 60 * 1_000;

/** The backoff that is declared; null for the default. */
const checkRetry = (name: string, { limit, base_ms, cap_ms }: Retry): Backoff | null => {
  const check = (field: string, value: number, from: number, to: number): void => {
    if (!(Number.isInteger(value) && value >= from && value <= to))
      throw new TypeError(`retry.${field} of ${name}: expected a whole number from ${from} to ${to}`);
  };
  check('limit', limit, 0, MAX_RETRIES);
  if (base_ms === undefined && cap_ms === undefined) return null;
  const from = base_ms ?? RETRY_BACKOFF.base_ms;
  const backoff = { base_ms: from, cap_ms: cap_ms ?? Math.max(from, RETRY_BACKOFF.cap_ms) };
  check('base_ms', backoff.base_ms, 1, DAY_MS);
  check('cap_ms', backoff.cap_ms, backoff.base_ms, DAY_MS);
  return backoff;
};

const checkConfirmations = (
  name: string,
  declared: CommandDeclaration<z.ZodType, z.ZodType>['confirmations'],
): Rules | null => {
  if (declared === undefined) return null;
  const given = typeof declared === 'number' ? { required_confirmations: declared } : declared;
  const checked = rulesSchema.safeParse(given);
  if (checked.success) return checked.data;
  const [first] = fieldErrors(checked.error, ['confirmations']);
  throw new TypeError(`${first?.field} of ${name}: expected ${first?.expected}`);
};

/** Declares a command. Throws a `TypeError` that names the field when the declaration is wrong. */
export const defineCommand = <Args extends z.ZodType, Result extends z.ZodType>(
  declaration: CommandDeclaration<Args, Result>,
): Command => {
  const { name, timeout = 1800, retry = { limit: 3 }, max_output: maxOutput = 64 * 1024 * 1024 } = declaration;
  if (!NAME.test(name)) throw new TypeError(`name: expected ${NAME}, got ${JSON.stringify(name)}`);
  if (!(timeout > 0)) throw new TypeError(`timeout of ${name}: expected a positive number of seconds`);
  const backoff = checkRetry(name, retry);
  const rules = checkConfirmations(name, declaration.confirmations);
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
      ...(backoff === null ? {} : { backoff }),
      ...(rules === null ? {} : { confirmations: rules }),
    }),
    summary: declaration.summary,
    args: declaration.args,
    result: declaration.result,
    maxOutput,
    run: declaration.run as Command['run'],
  });
};
