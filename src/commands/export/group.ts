import type { Event } from '../../../machines/event.ts';
import type { ExportHead, Pages } from './format.ts';
import type { Entry, Run } from './entry.ts';
import { createNarrator } from './narrator.ts';

/** Entries that follow one another and belong together: of one execution, or of none. */
export interface Group {
  readonly run: Entry['run'];
  /** The how many-eth group of its execution it is, from 1. */
  readonly part: number;
  /** None where it says only that the execution was not over at the end. */
  readonly entries: readonly Entry[];
  /** Whether another one of the same execution follows. */
  readonly goesOn: boolean;
}

/** A group is no larger, so that neither the writer's memory nor the reader's page depends on one long execution. */
const GROUPED = 500;

/**
 * The events of all pages, told and put together. Where no types were left out, another group of an execution that has
 * not ended follows always: at the end, when nothing else does, one without entries.
 */
export const groupsOf = async function* (
  { types }: Pick<ExportHead, 'types'>,
  pages: Pages,
  count: (type: string) => void,
): AsyncGenerator<Group> {
  const narrator = createNarrator();
  // Known as long as the narrator knows the execution.
  const parts = new WeakMap<Run, number>();
  let entries: Entry[] = [];
  let run = null as Entry['run'];
  const group = (): Group => {
    const part = run === null ? 1 : (parts.get(run) ?? 0) + 1;
    if (run !== null) parts.set(run, part);
    const goesOn = types === null && run !== null && entries.at(-1)?.ends === false;
    return { run, part, entries, goesOn };
  };
  for await (const page of pages) {
    for (const text of page) {
      const event = JSON.parse(text) as Event;
      count(event.type);
      const entry = narrator.tell(event);
      if (entries.length > 0 && (entry.run !== run || entries.length >= GROUPED)) {
        yield group();
        entries = [];
      }
      if (entries.length === 0) run = entry.run;
      entries.push(entry);
    }
  }
  if (entries.length > 0) yield group();
  entries = [];
  if (types === null) for (run of narrator.live()) yield group();
};

/** How many events of each type there were: there are few types, whatever the length of the log. */
export const createTally = () => {
  const counts = new Map<string, number>();
  return {
    add: (type: string): void => void counts.set(type, (counts.get(type) ?? 0) + 1),
    /** By type. */
    all: (): readonly (readonly [type: string, count: number])[] =>
      [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)),
    total: (): number => [...counts.values()].reduce((sum, each) => sum + each, 0),
  };
};

/** What stands above a transcript. */
export const factsOf = ({ session, ...about }: ExportHead): readonly (readonly [name: string, value: string])[] => [
  ['Session', session.session_id],
  ['Owner', session.owner],
  ['Status', session.status],
  ['Opened', session.created_at],
  ['Exported', about.exported_at],
  ['Events', about.last_seq < about.first_seq ? 'none' : `${about.first_seq} to ${about.last_seq}`],
  ...(about.types === null ? [] : [['Only', about.types.join(', ')] as const]),
];
