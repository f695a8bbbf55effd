import { createInterface } from 'node:readline/promises';
import type { Coordination, Vote } from '../../machines/question.ts';
import { isOutcomeEvent } from '../../machines/event.ts';
import { ProblemError, type Event, type HttpClient } from '../client/index.ts';
import { problemLine } from './errors.ts';
import { standingLine } from './vote.ts';
import { oneLine } from './text.ts';

/** Asks somebody at a terminal about the open questions of a session, one at a time. */
export interface Prompts {
  /** A question is open: it is asked in its turn. */
  ask(question: Coordination): void;
  /** One more event: a new question is asked, one with an outcome is not asked any more. */
  heard(event: Event): void;
  close(): void;
}

export interface PromptOptions {
  readonly client: Pick<HttpClient, 'coordinations'>;
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  /** Ctrl-C: a terminal that is read line by line gives it to its reader, not to the process. */
  readonly onInterrupt: () => void;
}

const ANSWERS: Readonly<Record<string, Vote>> = { c: 'confirm', confirm: 'confirm', r: 'reject', reject: 'reject' };

export const createPrompts = ({ client: { coordinations }, input, output, onInterrupt }: PromptOptions): Prompts => {
  const lines = createInterface({ input, output }).on('SIGINT', onInterrupt);
  let waiting: Coordination[] = [];
  let current: { readonly id: string; readonly stop: AbortController } | null = null;
  let closed = false;
  /** Looked up, and without an outcome so far as was heard. */
  const pending = new Set<string>();

  const say = (text: string): void => void output.write(`${text}\n`);

  const put = async ({ coordination_id, description, requested_by }: Coordination, signal: AbortSignal) => {
    say(`\n? ${oneLine(description, 500)} (asked by ${oneLine(requested_by.principal, 80)}, ${coordination_id})`);
    const said = await lines.question('  [c]onfirm, [r]eject, Enter for later: ', { signal });
    const vote = ANSWERS[said.trim().toLowerCase()];
    if (vote === undefined) return;
    try {
      say(standingLine(await coordinations.vote({ coordination_id, vote }, { signal })));
    } catch (error) {
      if (!signal.aborted) say(error instanceof ProblemError ? problemLine(error.problem) : String(error));
    }
  };

  const next = (): void => {
    const question = closed || current !== null ? undefined : waiting.shift();
    if (question === undefined) return;
    const stop = new AbortController();
    current = { id: question.coordination_id, stop };
    // Aborted where the question has its outcome before there is an answer.
    put(question, stop.signal)
      .catch(() => undefined)
      .finally(() => {
        current = null;
        next();
      });
  };

  const ask: Prompts['ask'] = (question) => {
    waiting.push(question);
    next();
  };

  return {
    ask,
    heard: ({ type, data }) => {
      const id = String(data['coordination_id']);
      if (type === 'coordination_request') {
        pending.add(id);
        coordinations
          .get({ coordination_id: id })
          .then((question) => pending.has(id) && question.status === 'open' && ask(question))
          .catch(() => undefined)
          .finally(() => pending.delete(id));
      } else if (isOutcomeEvent(type)) {
        pending.delete(id);
        waiting = waiting.filter(({ coordination_id }) => coordination_id !== id);
        if (current?.id === id) current.stop.abort();
      }
    },
    close: () => {
      closed = true;
      current?.stop.abort();
      lines.close();
    },
  };
};
