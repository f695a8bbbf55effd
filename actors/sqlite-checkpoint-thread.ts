import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import type { Checkpointed } from './sqlite-checkpoint.ts';
import { isSqliteError, openCheckpointer } from './sqlite-database.ts';

const journal = parentPort as MessagePort;
const db = openCheckpointer(workerData as string);
const checkpoint = db.prepare('PRAGMA wal_checkpoint(PASSIVE)');

const tried = (): Checkpointed => {
  try {
    checkpoint.get();
    return { error: null };
  } catch (error) {
    return { error: String(error), code: isSqliteError(error) ? error.errcode : undefined };
  }
};

journal.on('message', (task: 'checkpoint' | 'close') => {
  if (task === 'checkpoint') return journal.postMessage(tried());
  db.close();
  journal.close();
});
