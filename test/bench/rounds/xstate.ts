import { createActor } from 'xstate';
import { createIdentifiers } from '../../../actors/identifiers.ts';
import { execution } from '../../../machines/execution.ts';
import noop from '../commands/noop.ts';
import { print } from '../summary.ts';

/** The bound of deciding: the execution's machine alone in one thread, from acceptance to its end, with its snapshots. */
const EXECUTIONS = 20_000;
const newId = createIdentifiers(Date.now);
const session_id = newId('session');
const stamp = { at: Date.now(), random: 0.5 };

const one = (): void => {
  const execution_id = newId('execution');
  const actor = createActor(execution);
  let effects = 0;
  actor.on('*', () => void (effects += 1));
  actor.start();
  actor.send({
    type: 'execution.accept',
    session_id,
    execution_id,
    command: noop.facts,
    args: {},
    caller: { principal: 'p', client_id: null },
    capability_id: 'cap_0',
    charged: ['cap_0'],
    timeout_ms: 60_000,
    priority: 0,
    reserved: true,
    idempotency_key: null,
    ...stamp,
  });
  const accepted = actor.getSnapshot();
  JSON.stringify(accepted.context);
  actor.send({ type: 'execution.complete', start: 1, result: { ok: true }, artifacts: [], ...stamp });
  JSON.stringify(actor.getSnapshot().context);
  if (actor.getSnapshot().status !== 'done' || effects === 0) throw new Error('the execution did not end');
};
for (let n = 0; n < 5_000; n++) one();
const started = performance.now();
for (let n = 0; n < EXECUTIONS; n++) one();
print({ 'executions, one thread /s': EXECUTIONS / ((performance.now() - started) / 1_000) });
