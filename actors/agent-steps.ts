import type { Run } from '../machines/effect.ts';
import { fieldErrors, ProblemError } from '../machines/error.ts';
import type { CoordinationId } from '../machines/id.ts';
import type { Confirmation, ConfirmationRequest } from '../machines/question.ts';
import { QUESTION_LIMITS } from '../machines/question-limits.ts';
import { confirmationSchema } from '../machines/question-schema.ts';
import { STEP_LIMITS, type Asked, type AskedQuestion, type Recorded } from '../machines/step.ts';

export interface StepsOptions {
  readonly run: Pick<Run, 'recorded' | 'awaited' | 'command'>;
  readonly newCoordinationId: () => CoordinationId;
  /** Records something finished; `recorded` answers once it is durable. */
  readonly send: (step: Recorded) => void;
  /** Gives these their time from now on. */
  readonly ask: (asked: readonly Asked[]) => void;
  /** Ends the run: it waits for these. Called at most once. */
  readonly suspend: (asked: readonly Asked[]) => void;
  /** Whether something else is under way that is not to be abandoned; `turn` says when it has ended. */
  readonly isBusy: () => boolean;
  /** Milliseconds of any clock. */
  readonly now: () => number;
}

/** What of a handler's context survives its run: see `HandlerContext.step`, `.sleep` and `.confirm`. */
export interface Steps {
  step<Value>(name: string, fn: () => Value | Promise<Value>): Promise<Value>;
  sleep(ms: number, name?: string): Promise<void>;
  confirm(request: ConfirmationRequest, name?: string): Promise<Confirmation>;
  /** What was sent under this key is durable. */
  recorded(key: string): void;
  /** Looks whether the run can be suspended, once the handler has had its turn. */
  turn(): void;
  /** Nothing new begins. What waits fails where `silent`: its end is not waited for. */
  abort(reason: Error, silent: boolean): void;
  /** The handler has ended, or its run has: nothing of it is heard any more. */
  close(): void;
}

interface Sleeper {
  /** By `now`; null where only an answer ends it, which a later run finds. */
  readonly due: number | null;
  /** What is asked; null for a time. */
  readonly question: AskedQuestion | null;
  /** Its time is durable. */
  told: boolean;
  timer: NodeJS.Timeout | undefined;
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
}

/** Node's timers know no more. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const STEP = 'step ';
const CONFIRM = 'confirm';
const NEVER = new Promise<never>(() => {});

const invalid = (detail: string): ProblemError => new ProblemError('invalid_input', detail);
const tooLarge = (detail: string): ProblemError => new ProblemError('too_large', detail);

const jsonOf = (key: string, value: unknown): string | undefined => {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw new ProblemError('result_invalid', `the ${key} resolved with what JSON cannot hold`, { cause });
  }
};

const sizeOf = (json: string | undefined): number => (json === undefined ? 0 : Buffer.byteLength(json));

interface Replay {
  again(index: number, resolve: () => void): void;
  readonly isBusy: () => boolean;
}

/**
 * Finished ones resolve in the order of their records, whatever the order in which they are asked for, and each only once
 * the handler has had its turn with the one before: so a race is won by who has won it before.
 */
const createReplay = (onTurn: () => void): Replay => {
  let asked: { readonly index: number; readonly resolve: () => void }[] = [];
  const next = (): void => {
    const [first] = asked.toSorted((a, b) => a.index - b.index);
    asked = asked.filter((each) => each !== first);
    first?.resolve();
    if (asked.length > 0) setImmediate(next);
    else onTurn();
  };
  return {
    again: (index, resolve) => {
      if (asked.length === 0) setImmediate(next);
      asked.push({ index, resolve });
    },
    isBusy: () => asked.length > 0,
  };
};

export const createSteps = (options: StepsOptions): Steps => {
  const { run, newCoordinationId, send, ask, suspend, isBusy, now } = options;
  const { recorded: finished = [], awaited = [] } = run;
  const known = new Map(finished.map(({ key, result }, index) => [key, { result, index }]));
  const dues = new Map(
    awaited.flatMap(({ key, remaining_ms }) => (remaining_ms === null ? [] : [[key, now() + remaining_ms]])),
  );
  const used = new Set<string>();
  const sleeping = new Map<string, Sleeper>();
  /** Sent, and not yet durable. */
  const recording = new Map<string, Pick<Sleeper, 'resolve' | 'reject'>>();
  let steps = finished.filter(({ key }) => key.startsWith(STEP)).length;
  let confirmations = finished.filter(({ key }) => key.startsWith(CONFIRM)).length;
  let sleeps = finished.length - steps - confirmations;
  let bytes = finished.reduce((sum, { result }) => sum + sizeOf(JSON.stringify(result)), 0);
  let unnamed = 0;
  let unnamedQuestions = 0;
  let underWay = 0;
  let look: NodeJS.Immediate | undefined;
  const replay = createReplay(() => turn());
  let aborted: Error | null = null;
  let closed = false;

  const askedNow = (of: Iterable<readonly [string, Sleeper]>): Asked[] =>
    [...of].map(
      ([key, { due, question }]): Asked =>
        question === null
          ? { key, reason: 'sleep', remaining_ms: Math.max(0, (due ?? 0) - now()) }
          : { key, reason: 'confirm', ...question },
    );

  const check = (): void => {
    look = undefined;
    if (closed || sleeping.size === 0 || replay.isBusy()) return;
    if (underWay === 0 && !isBusy()) {
      close();
      suspend(askedNow(sleeping));
      return;
    }
    // It goes on beside a step, whose time it may bound.
    const fresh = [...sleeping].filter(([, { told }]) => !told);
    if (fresh.length > 0) ask(askedNow(fresh));
    for (const [key, sleeper] of sleeping) {
      sleeper.told = true;
      arm(key, sleeper);
    }
  };
  const turn = (): void => {
    if (sleeping.size > 0) look ??= setImmediate(check);
  };

  const record = (step: Recorded): Promise<void> =>
    new Promise((resolve, reject) => {
      recording.set(step.key, { resolve, reject });
      send(step);
    });

  const arm = (key: string, sleeper: Sleeper): void => {
    const { due } = sleeper;
    if (due === null) return;
    sleeper.timer ??= setTimeout(
      () => {
        sleeper.timer = undefined;
        if (closed) return;
        // A timer may come a little early.
        if (now() < due) arm(key, sleeper);
        else void wake(key, sleeper);
      },
      Math.min(MAX_TIMER_MS, Math.max(1, Math.ceil(due - now()))),
    );
  };
  const wake = async (key: string, sleeper: Sleeper): Promise<void> => {
    sleeping.delete(key);
    underWay += 1;
    await record({ key }).then(sleeper.resolve, sleeper.reject);
    underWay -= 1;
    turn();
  };

  /** What a name, or its use, is refused for. */
  const obstacle = (kind: string, name: string, key: string): Error | null => {
    if (typeof name !== 'string' || name === '' || name.length > STEP_LIMITS.name)
      return invalid(`a ${kind}'s name: expected 1 to ${STEP_LIMITS.name} characters`);
    if (used.has(key)) return new ProblemError('conflict', `there was a ${kind} ${name} in this run`);
    used.add(key);
    return null;
  };

  const perform = async <Value>(key: string, fn: () => Value | Promise<Value>): Promise<Value> => {
    underWay += 1;
    steps += 1;
    let held = 0;
    try {
      const json = jsonOf(key, await fn());
      const size = sizeOf(json);
      if (size > STEP_LIMITS.result_bytes)
        throw tooLarge(`the ${key} resolved with ${size} bytes of JSON, above ${STEP_LIMITS.result_bytes}`);
      if (bytes + size > STEP_LIMITS.total_bytes)
        throw tooLarge(`the steps of an execution may resolve with ${STEP_LIMITS.total_bytes} bytes of JSON in all`);
      bytes += held = size;
      if (closed) return await NEVER;
      if (aborted !== null) throw aborted;
      // A later run gets it as JSON, so this one does too.
      const result = json === undefined ? undefined : (JSON.parse(json) as unknown);
      await record(result === undefined ? { key } : { key, result });
      return result as Value;
    } catch (error) {
      steps -= 1;
      bytes -= held;
      throw error;
    } finally {
      underWay -= 1;
      turn();
    }
  };

  const step: Steps['step'] = (name, fn) => {
    const key = STEP + name;
    if (closed) return NEVER;
    const refused = aborted ?? obstacle('step', name, key);
    if (refused !== null) return Promise.reject(refused);
    const before = known.get(key);
    if (before !== undefined)
      return new Promise((resolve) => replay.again(before.index, () => resolve(before.result as never)));
    if (steps >= STEP_LIMITS.steps) return Promise.reject(tooLarge(`an execution may have ${STEP_LIMITS.steps} steps`));
    return perform(key, fn);
  };

  const sleep: Steps['sleep'] = (ms, name) => {
    if (closed) return NEVER;
    if (aborted !== null) return Promise.reject(aborted);
    if (!(ms >= 0 && ms <= STEP_LIMITS.sleep_ms))
      return Promise.reject(invalid(`a sleep: expected 0 to ${STEP_LIMITS.sleep_ms} milliseconds, got ${String(ms)}`));
    const key = name === undefined ? `sleep#${++unnamed}` : `sleep ${name}`;
    const refused = name === undefined ? null : obstacle('sleep', name, key);
    if (refused !== null) return Promise.reject(refused);
    const before = known.get(key);
    if (before !== undefined) return new Promise((resolve) => replay.again(before.index, resolve));
    if (sleeps >= STEP_LIMITS.sleeps)
      return Promise.reject(tooLarge(`an execution may have ${STEP_LIMITS.sleeps} sleeps`));
    sleeps += 1;
    const due = dues.get(key);
    return new Promise((resolve, reject) => {
      sleeping.set(key, {
        due: due ?? now() + ms,
        question: null,
        told: due !== undefined,
        timer: undefined,
        resolve,
        reject,
      });
      turn();
    });
  };

  const questionOf = (request: ConfirmationRequest): AskedQuestion => {
    const checked = confirmationSchema.safeParse(request);
    if (!checked.success) {
      const errors = fieldErrors(checked.error);
      throw new ProblemError(
        'invalid_input',
        `a question: not as expected: ${errors.map(({ field }) => field).join(', ')}`,
        {
          more: { errors },
        },
      );
    }
    const { details = null, operation = run.command, ...rest } = checked.data;
    const size = sizeOf(jsonOf('details of a question', details));
    if (size > QUESTION_LIMITS.details_bytes)
      throw tooLarge(`the details of a question have ${size} bytes of JSON, above ${QUESTION_LIMITS.details_bytes}`);
    return { coordination_id: newCoordinationId(), question: { ...rest, operation }, details };
  };

  const confirm: Steps['confirm'] = async (request, name) => {
    if (closed) return NEVER;
    if (aborted !== null) throw aborted;
    const key = name === undefined ? `${CONFIRM}#${++unnamedQuestions}` : `${CONFIRM} ${name}`;
    const refused = name === undefined ? null : obstacle('question', name, key);
    if (refused !== null) throw refused;
    const before = known.get(key);
    if (before !== undefined)
      return new Promise((resolve) => replay.again(before.index, () => resolve(before.result as Confirmation)));
    if (confirmations >= STEP_LIMITS.confirmations)
      throw tooLarge(`an execution may ask ${STEP_LIMITS.confirmations} questions`);
    const question = questionOf(request);
    confirmations += 1;
    // It is put once: an earlier run may have asked already, and the answer comes to a later one.
    const told = awaited.some((each) => each.key === key);
    return new Promise((_, reject) => {
      sleeping.set(key, { due: null, question, told, timer: undefined, resolve: () => {}, reject });
      turn();
    });
  };

  const close = (): void => {
    closed = true;
    clearImmediate(look);
    for (const { timer } of sleeping.values()) clearTimeout(timer);
  };

  return {
    step,
    sleep,
    confirm,
    recorded: (key) => {
      recording.get(key)?.resolve();
      recording.delete(key);
    },
    turn,
    abort: (reason, silent) => {
      aborted ??= reason;
      if (!silent) return;
      for (const { timer, reject } of sleeping.values()) {
        clearTimeout(timer);
        reject(reason);
      }
      for (const { reject } of recording.values()) reject(reason);
      sleeping.clear();
      recording.clear();
    },
    close,
  };
};
