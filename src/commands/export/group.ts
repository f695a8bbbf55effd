import type { Event } from '../../../machines/event.ts';
import type { ExportHead, Pages } from './format.ts';
import type { Entry } from './entry.ts';
import { createNarrator } from './narrator.ts';

/** Entries that follow one another and belong together: of one execution, or of none. */
export interface Group {
  readonly run: Entry['run'];
  readonly entries: readonly Entry[];
}

/** A group is no larger, so that neither the writer's memory nor the reader's page depends on one long execution. */
const GROUPED = 500;

/** The events of all pages, told and put together. */
export const groupsOf = async function* (pages: Pages, count: (type: string) => void): AsyncGenerator<Group> {
  const narrate = createNarrator();
  let entries: Entry[] = [];
  let run = null as Entry['run'];
  for await (const page of pages) {
    for (const text of page) {
      const event = JSON.parse(text) as Event;
      count(event.type);
      const entry = narrate(event);
      if (entries.length > 0 && (entry.run?.id !== run?.id || entries.length >= GROUPED)) {
        yield { run, entries };
        entries = [];
      }
      if (entries.length === 0) run = entry.run;
      entries.push(entry);
    }
  }
  if (entries.length > 0) yield { run, entries };
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
