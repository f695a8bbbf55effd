import { flushCompileCache } from 'node:module';
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { stopwatch } from './clock.ts';
import { createSqliteJournal, type FoundJournal } from './journal-sqlite.ts';
import { createJournalLoop } from './journal-loop.ts';
import type { JournalCommand, JournalInput, JournalNotice, JournalThreadData } from './journal-messages.ts';

/**
 * The journal thread: the one writer. It drains every port, commits all turns that wait as one group, and only then
 * lets anything out (ring, rules 3 to 5).
 */
const main = parentPort as MessagePort;
const { directory, committed } = workerData as JournalThreadData;
const latestGroup = new Int32Array(committed);

let found: FoundJournal = { cut: null, at: 0 };
const journal = await createSqliteJournal({ directory, onFound: (what) => (found = what) });
const loop = createJournalLoop({
  journal,
  stopwatch,
  notify: (notice) => {
    if (notice.type === 'released' || notice.type === 'doubtful') Atomics.store(latestGroup, 0, notice.group | 0);
    main.postMessage(notice);
  },
  // `setImmediate` lets arrived messages in before the tables are filled.
  later: (task, delayMs) => (delayMs === 0 ? void setImmediate(task) : void setTimeout(task, delayMs)),
});

/** Takes all that has arrived on a port at once: what one event-loop turn delivers would make small groups. */
const drained = (port: MessagePort, take: (message: never) => void) => (message: unknown) => {
  take(message as never);
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
    take(next.message as never);
  }
  loop.wake();
};

main.on(
  'message',
  drained(main, (command: JournalCommand) => {
    if (command.type === 'call') {
      loop.call(command.id, command.call);
      if (command.call.type === 'close') main.unref();
      return;
    }
    const { port } = command;
    port.on(
      'message',
      drained(port, (input: JournalInput) => loop.take(input, (output) => port.postMessage(output))),
    );
  }),
);
main.postMessage({ type: 'ready', found } satisfies JournalNotice);
// Where compiled code is kept: a thread that is ended with its process writes nothing.
flushCompileCache();
