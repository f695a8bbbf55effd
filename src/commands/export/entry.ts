import type { Event } from '../../../machines/event.ts';

/** One event as a person reads it. All of it is text of others: what writes it into a document has to escape it. */
export interface Entry {
  readonly seq: number;
  /** `2026-01-31 12:00:00.000`, UTC. */
  readonly time: string;
  readonly severity: Event['metadata']['severity'];
  /** Who did it; null for the system. */
  readonly who: string | null;
  readonly what: string;
  /** Text of several lines that goes with it: output, a result, a comment. */
  readonly block: string | null;
  /** 0 to 100 where that is what it tells. */
  readonly progress: number | null;
  /** Which execution it belongs to, with its command and who asked for it, where these are known. */
  readonly run: Run | null;
  /** Whether it is the last of its execution. */
  readonly ends: boolean;
}

/** An execution as a transcript names it; the same object as long as it is live. */
export interface Run {
  /** The how many-eth of the transcript it is. */
  readonly n: number;
  readonly id: string;
  readonly command: string | null;
  readonly by: string | null;
}
