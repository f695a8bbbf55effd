import type { Event } from '../../../machines/event.ts';
import { isTerminalEvent } from '../../../machines/event.ts';
import type { Entry, Run } from './entry.ts';
import { sentenceOf } from './sentence.ts';

/** Names that are remembered at a time, far more than a session has clients and live executions. */
const REMEMBERED = 20_000;

const textOf = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

/** Of too many the oldest is forgotten: a map keeps the order in which they came. */
const remember = <Value>(known: Map<string, Value>, id: string, value: Value): void => {
  const [oldest] = known.size < REMEMBERED ? [] : known.keys();
  if (oldest !== undefined) known.delete(oldest);
  known.set(id, value);
};

export interface Narrator {
  tell(event: Event): Entry;
  /** The executions that have been told of and have not ended. */
  live(): Iterable<Run>;
}

/**
 * Tells events one after the other, and remembers who is who and which execution runs what, as long as they are there: so
 * its memory is that of what is live, whatever the length of the log.
 */
export const createNarrator = (): Narrator => {
  const names = new Map<string, string>();
  const runs = new Map<string, Run>();
  let told = 0;

  const personOf = (client: string | null, principal: string | null): string | null => {
    const name = client === null ? undefined : names.get(client);
    if (name !== undefined) return principal === null ? name : `${principal}, ${name}`;
    return principal ?? client;
  };

  const runOf = ({ type, data }: Event): Run | null => {
    const id = textOf(data['execution_id']);
    if (id === null) return null;
    const known = runs.get(id);
    // What else names an execution, as a question that it asks, belongs to it while it is known.
    if (known !== undefined || !type.startsWith('execution_')) return known ?? null;
    // One whose beginning is not among the events has neither.
    const starter = (data['started_by'] ?? {}) as { readonly principal?: unknown; readonly client_id?: unknown };
    const by = personOf(textOf(starter.client_id), textOf(starter.principal));
    const run = { n: ++told, id, command: textOf(data['command']), by };
    remember(runs, id, run);
    return run;
  };

  const tell = (event: Event): Entry => {
    const { seq, type, timestamp, data, metadata } = event;
    const subject = type.startsWith('client_') ? textOf(data['client_id']) : null;
    if (type === 'client_joined' && subject !== null)
      remember(names, subject, `${textOf(data['name']) ?? textOf(data['type']) ?? 'client'} (${subject})`);
    const run = runOf(event);
    const who = personOf(subject ?? metadata.client_id, metadata.principal ?? textOf(data['principal']));
    if (type === 'client_left' && subject !== null) names.delete(subject);
    const ends = run !== null && isTerminalEvent(type);
    if (ends) runs.delete(run.id);
    return {
      seq,
      time: `${timestamp.slice(0, 10)} ${timestamp.slice(11, 23)}`,
      severity: metadata.severity,
      who,
      ...sentenceOf(event),
      run,
      ends,
    };
  };

  return { tell, live: () => runs.values() };
};
