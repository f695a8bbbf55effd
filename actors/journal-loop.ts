import type { Claim, Journal } from './journal.ts';
import type { JournalAnswers, JournalCall, JournalInput, JournalNotice, JournalOutput } from './journal-messages.ts';

export interface JournalLoopOptions {
  readonly journal: Journal;
  readonly stopwatch: () => number;
  readonly notify: (notice: JournalNotice) => void;
  /** Runs a task after others had their turn. */
  readonly later: (task: () => void, delayMs: number) => void;
}

export interface JournalLoop {
  /** A worker's input; `answer` reaches that worker. */
  take(input: JournalInput, answer: (output: JournalOutput) => void): void;
  /** A call of the main thread. */
  call(id: number, call: JournalCall): void;
  /** Works off what was taken; returns at once when it is already at it. */
  wake(): void;
}

type Step =
  | { readonly input: JournalInput; readonly answer: (output: JournalOutput) => void }
  | { readonly id: number; readonly call: JournalCall };
type TurnStep = {
  readonly input: Extract<JournalInput, { type: 'turn' }>;
  readonly answer: (output: JournalOutput) => void;
};
type NoteStep = { readonly id: number; readonly call: Extract<JournalCall, { type: 'note' }> };

/** Bytes of log that may wait while turns keep coming; above it a whole chunk is applied between two groups. */
const BACKLOG_BYTES = 1024 * 1024;
/**
 * The same while few turns come, and for a little of a chunk: a read has to wait until what it asks for is in the
 * tables.
 */
const BUSY_BACKLOG_BYTES = 512 * 1024;
/** Above it turns wait: what has to be applied before a load, a read or a start is bounded. */
const FULL_BACKLOG_BYTES = 8 * 1024 * 1024;
/** How long the log may lie while nothing happens. */
const IDLE_MS = 25;
/** When a store that has failed is tried again, where nobody else does. */
const RETRY_MS = 250;
/** The most turns, or notes, that are one transaction. */
const GROUP_STEPS = 512;

const isTurn = (step: Step | undefined): step is TurnStep =>
  step !== undefined && 'input' in step && step.input.type === 'turn';
const isNote = (step: Step | undefined): step is NoteStep =>
  step !== undefined && 'call' in step && step.call.type === 'note';

/**
 * The group commit. Steps are served in order of arrival; turns that stand next to one another are one transaction, and
 * so are notes. Pure of threads: the journal thread feeds it from its ports, a simulation from its scheduler.
 */
export const createJournalLoop = ({ journal, stopwatch, notify, later }: JournalLoopOptions): JournalLoop => {
  let steps: Step[] = [];
  let working = false;
  let group = 0;
  let backlog = 0;
  let failing = false;
  let idling = false;
  let closing = false;
  /**
   * Turns whose commit failed, by shard. Some of them may be durable all the same; the shard's next claim shows which, and
   * then they are let out like any other, for nobody else would ever tell of them.
   */
  const doubtful = new Map<number, TurnStep[]>();
  /** The epochs that were given out last: a turn of an older one was refused, whatever became of its group. */
  const epochs = new Map<number, number>();

  const failed = (error: unknown): void => {
    failing = true;
    notify({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
  };
  const succeeded = (): void => {
    if (!failing) return;
    failing = false;
    notify({ type: 'recovered' });
  };
  /**
   * Whether the store takes writes again: a claim of nothing heals it as every write does. Who has failed may have ended
   * since, and while the store counts as failed nobody is let in who would try.
   */
  const probe = async (): Promise<void> => {
    try {
      await journal.claim([]);
      succeeded();
    } catch (error) {
      failed(error);
    }
  };

  const commit = async (turns: readonly TurnStep[]): Promise<void> => {
    const started = stopwatch();
    try {
      const verdicts = await journal.commit(turns.map(({ input }) => input.turn));
      const accepted: TurnStep[] = [];
      for (const [index, turn] of turns.entries()) {
        if (verdicts[index] === 'committed') accepted.push(turn);
        else closed(turn);
      }
      if (accepted.length === 0) return;
      letOut(accepted, stopwatch() - started);
      succeeded();
    } catch (error) {
      const inDoubt = turns.filter(({ input: { turn } }) => turn.epoch === epochs.get(turn.shard));
      for (const turn of inDoubt) {
        const { shard } = turn.input.turn;
        doubtful.set(shard, [...(doubtful.get(shard) ?? []), turn]);
      }
      // Before any table can show them: a read that does so has to have heard of it.
      if (inDoubt.length > 0) {
        group += 1;
        notify({ type: 'doubtful', group, texts: inDoubt.map(({ input }) => input.turn.text) });
      }
      failed(error);
      for (const turn of turns) closed(turn);
    }
  };
  const letOut = (turns: readonly TurnStep[], commitMs: number): void => {
    if (turns.length === 0) return;
    group += 1;
    for (const { input } of turns) backlog += input.turn.text.length;
    notify({
      type: 'released',
      group,
      texts: turns.map(({ input }) => input.turn.text),
      releases: turns.map(({ input }) => input.release),
      commitMs,
    });
  };
  const closed = ({ input, answer }: TurnStep): void =>
    answer({ type: 'closed', shard: input.turn.shard, epoch: input.turn.epoch });

  const claim = async (shards: readonly number[], answer: (output: JournalOutput) => void): Promise<void> => {
    let claims: readonly Claim[];
    try {
      claims = await journal.claim(shards);
    } catch (error) {
      failed(error);
      answer({ type: 'unclaimed', shards });
      return;
    }
    succeeded();
    backlog = 0;
    for (const { shard, epoch, turn } of claims) {
      epochs.set(shard, epoch);
      // No other turn of this number can have come between: the epoch was closed until now.
      letOut(
        (doubtful.get(shard) ?? []).filter(({ input }) => input.turn.turn <= turn),
        0,
      );
      doubtful.delete(shard);
    }
    // The worker hears first: what the main thread then sends for the new epoch finds it open.
    answer({ type: 'claimed', claims });
    notify({ type: 'claimed', claims });
  };

  /** Fills the tables with all that is in the log; turns that come meanwhile go first, a group between two chunks. */
  const settle = async (): Promise<number> => {
    while (await journal.apply()) await commitWaiting();
    backlog = 0;
    return group;
  };

  /** Fills the tables with about what is in the log now, so that the call that needs all of it makes no long pause. */
  const catchUp = async (): Promise<void> => {
    let left = backlog;
    while (left > 0) {
      const before = backlog;
      backlog = await journal.apply();
      left = backlog === 0 ? 0 : left - (before - backlog);
      await commitWaiting();
    }
  };

  const calls: {
    readonly [T in Exclude<JournalCall['type'], 'note'>]: (
      call: Extract<JournalCall, { type: T }>,
    ) => Promise<JournalAnswers[T]>;
  } = {
    settle,
    outbox: ({ from, to, after, limit }) => journal.outbox(from, to, after, limit),
    keys: () => journal.keys.list(),
    key: ({ id }) => journal.keys.find(id),
    'put-key': async ({ key, entry }) => {
      await journal.keys.put(key, entry);
      return null;
    },
    prune: ({ limits }) => journal.prune(limits),
    close: async () => {
      closing = true;
      await journal.close();
      return null;
    },
  };

  /** Serves a call, or several by one answer. */
  const answerAll = async (ids: readonly number[], answer: () => Promise<unknown>): Promise<void> => {
    try {
      const value = await answer();
      for (const id of ids) notify({ type: 'answer', id, value });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      for (const id of ids) notify({ type: 'refused', id, message });
    }
  };

  const serve = async (step: Exclude<Step, TurnStep>): Promise<void> => {
    if ('call' in step) {
      const answer = calls[step.call.type as keyof typeof calls] as (call: JournalCall) => Promise<unknown>;
      return answerAll([step.id], () => answer(step.call));
    }
    const { input, answer } = step;
    if (input.type === 'claim') return claim(input.shards, answer);
    if (input.type === 'turn') return;
    const { shard, epoch } = input;
    try {
      if (input.type === 'load') {
        return answer({ type: 'loaded', shard, epoch, loaded: await journal.load(input.session) });
      }
      await catchUp();
      answer({ type: 'deadlines', shard, epoch, deadlines: await journal.deadlines(shard, input.page) });
    } catch (error) {
      failed(error);
      answer({ type: 'closed', shard, epoch });
    }
  };

  const applyChunk = async (little = false): Promise<void> => {
    try {
      backlog = await journal.apply(little);
      if (backlog === 0) notify({ type: 'settled', group });
    } catch (error) {
      failed(error);
    }
  };

  /** Takes the steps of a kind from the head of the line, as many as make a group. */
  const takeGroup = <S extends Step>(is: (step: Step | undefined) => step is S): S[] => {
    const taken: S[] = [];
    while (taken.length < GROUP_STEPS && is(steps[taken.length])) taken.push(steps[taken.length] as S);
    if (taken.length > 0) steps = steps.slice(taken.length);
    return taken;
  };

  /** Commits the turns at the head of the line; false where there are none. */
  const commitWaiting = async (): Promise<boolean> => {
    const turns = takeGroup(isTurn);
    if (turns.length === 0) return false;
    await commit(turns);
    return true;
  };

  /** Records the notes at the head of the line; false where there are none. */
  const noteWaiting = async (): Promise<boolean> => {
    const notes = takeGroup(isNote);
    if (notes.length === 0) return false;
    await answerAll(
      notes.map(({ id }) => id),
      async () => {
        await journal.note(notes.flatMap(({ call }) => call.entries));
        return null;
      },
    );
    return true;
  };

  const work = async (): Promise<void> => {
    while (steps.length > 0) {
      if (await commitWaiting()) {
        // Little by little while it can be: a whole chunk is a pause that a single call would notice.
        if (backlog > BUSY_BACKLOG_BYTES) await applyChunk(backlog <= BACKLOG_BYTES);
        while (backlog > FULL_BACKLOG_BYTES && !failing) await applyChunk();
      } else if (!(await noteWaiting())) await serve(steps.shift() as Exclude<Step, TurnStep>);
    }
  };

  const wake = (): void => {
    if (working) return;
    working = true;
    // What throws in here is a mistake of ours, and the same step would throw again: it ends the thread.
    void work().then(() => {
      working = false;
      if (steps.length > 0) wake();
      else idle(IDLE_MS);
    });
  };

  /** Fills the tables while nothing else is to be done, a chunk at a time; then sees whether a failed store is mended. */
  const idle = (delayMs: number): void => {
    if ((backlog === 0 && !failing) || idling || closing) return;
    idling = true;
    const [groupBefore, backlogBefore] = [group, backlog];
    later(
      () => {
        idling = false;
        if (working || closing) return;
        // Turns keep coming: a pause now would be one of them waiting.
        if (group !== groupBefore && backlog <= BUSY_BACKLOG_BYTES) return idle(IDLE_MS);
        working = true;
        // Somebody's single call may come at any moment; with a backlog there is more than that to be done.
        void (backlog === 0 ? probe() : applyChunk(backlog <= BACKLOG_BYTES)).finally(() => {
          working = false;
          if (steps.length > 0) wake();
          else idle(backlog < backlogBefore ? 0 : IDLE_MS);
        });
      },
      failing ? RETRY_MS : delayMs,
    );
  };

  return {
    take: (input, answer) => void steps.push({ input, answer }),
    call: (id, call) => void steps.push({ id, call }),
    wake,
  };
};
