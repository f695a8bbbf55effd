import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Event } from '../../../machines/event.ts';
import { createWorkspace, eventually } from '../../support/server.ts';
import { isId, shownBut, withAbsent } from './matrix/absent.ts';
import { cellsOf, faultsOfReply, type Cell } from './matrix/cell.ts';
import { inputOf } from './matrix/input.ts';
import { traceOf } from './matrix/oracle.ts';
import { PERSONAS } from './matrix/persona.ts';
import { createScene, fillersOf } from './matrix/scene.ts';
import type { Stage } from './matrix/stage.ts';
import { call } from './matrix/wire.ts';

/** Of the matrix what needs no clock, with the journal and the threads of a server. */
const test = suite('the matrix on a server');

const space = createWorkspace();
const server = await space.serve({
  config: space.config({ commands: ['work', 'shell'], webhooks: { allow: ['127.0.0.1/32'] } }),
});
test.after(async () => space[Symbol.asyncDispose]());

let words = 0;
const must: Stage['must'] = async (method, path, token, body) => {
  const answer = await server.call(method, path, { token, body });
  if (answer.status >= 300) throw new Error(`${method} ${path} was refused: ${answer.text}`);
  return answer.body;
};
const stage = {
  mqttPort: server.mqttPort,
  unique: (word: string) => `${word}-${(words += 1)}`,
  must,
  on: {
    url: server.http,
    call: server.call,
    operator: { key: server.key },
    keyOf: async (principal: string, operator = false) =>
      (await must('POST', '/v1/keys', server.key, { principal, operator })).api_key,
  },
} as unknown as Stage;

const CHOSEN: readonly string[] = [
  'nobody',
  'a revoked key of the owner',
  'a guest whose share is revoked',
  'a stranger with a key',
  'an operator',
  'a client of another owner’s session',
  'a client of the owner’s other session',
  'the owner’s key',
  'the owner’s client',
  'a guest that may share',
  'a read-only guest',
  'an exhausted guest',
];

/** Refusals, and what changes nothing though it is answered. */
const isHarmless = ({ expected, operation: { mutating, http } }: Cell): boolean =>
  !expected.answered || (!mutating && http.binary !== true);

for (const persona of PERSONAS.filter(({ name }) => CHOSEN.includes(name)))
  test(persona.name, async () => {
    const { credentials } = persona.standing;
    const cells = cellsOf(persona).filter(
      (cell) => isHarmless(cell) && (cell.way !== 'mqtt' || credentials === 'client'),
    );
    const scene = await createScene(stage);
    const caller = await persona.enter(scene);
    const inputs: Record<string, unknown>[] = [];
    for (const { operation, choice } of cells)
      inputs.push(await inputOf(operation, { ...fillersOf(scene, caller, choice), name: () => 'report' }, choice.dry));
    await persona.fall?.(scene, caller);
    const { session_id } = scene.session;
    const violations = async (): Promise<number> => {
      const path = `/v1/sessions/${session_id}/events?types=security_violation`;
      const { events } = await must('GET', path, scene.owner.token);
      return (events as Event[]).reduce((sum, { data }) => sum + Number(data['count']), 0);
    };

    const faults: string[] = [];
    for (const [index, cell] of cells.entries()) {
      const input = inputs[index] ?? {};
      const reply = await call(stage, cell.way, cell.operation, input, caller);
      faults.push(...faultsOfReply(cell, reply).map((fault) => `${cell.name}: ${fault}`));
      if (traceOf(cell.expected, cell.operation) !== 'unseen') continue;
      const fields = Object.keys(input).filter(isId);
      const nothing = withAbsent(input, fields);
      const wanted = shownBut(await call(stage, cell.way, cell.operation, nothing, caller), nothing, fields);
      const got = shownBut(reply, input, fields);
      if (got !== wanted) faults.push(`${cell.name}: ${got}, not ${wanted}`);
    }
    assert.equal(faults, []);
    const refused = cells.filter(({ expected, operation }) => traceOf(expected, operation) === 'session').length;
    await eventually('all that was refused is told', async () => (await violations()) >= refused);
    assert.is(await violations(), refused);
  });

test('the audit holds', async () => assert.is((await must('GET', '/v1/audit/verify', server.key)).valid, true));

test.run();
