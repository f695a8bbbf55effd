import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { defineOperation } from '../../../src/operations/operation.ts';
import { operationNames, OPERATION_TABLE } from '../../../src/operations/table.ts';
import type { Json } from '../../support/gateway.ts';
import { cellsOf, OPERATIONS, waysOf } from './matrix/cell.ts';
import { inputOf } from './matrix/input.ts';
import { PERSONAS, type Persona } from './matrix/persona.ts';
import { createScene, share, type Caller } from './matrix/scene.ts';
import { openStage } from './matrix/stage.ts';
import { faultsOf, stageAct } from './matrix/trial.ts';
import { openLine, overHttp } from './matrix/wire.ts';
import { eventsSince, recordsSince, worldOf } from './matrix/world.ts';

/**
 * Every operation, by every kind of caller, over HTTP, as a stream and over MQTT. The cells are made from the table of
 * operations, and what each is to be answered with is computed from sight, right and standing alone.
 */
const test = suite('the matrix of authority');

/** What each operation was answered with, by its name and the way: statuses, and `answered`. */
const answers = new Map<string, Set<string>>();

for (const persona of PERSONAS)
  test(persona.name, async () => {
    await using stage = await openStage();
    const faults = await faultsOf(stage, persona, ({ operation, way }, { problem }) => {
      const key = `${operation.name} ${way}`;
      answers.set(key, (answers.get(key) ?? new Set()).add(String(problem?.status ?? 'answered')));
    });
    assert.equal(faults, []);
  });

test('nothing of the table is left out, and everything is answered to somebody', () => {
  assert.equal(
    OPERATIONS.map(({ name }) => name),
    operationNames,
  );
  const missing: string[] = [];
  for (const operation of OPERATIONS)
    for (const way of waysOf(operation)) {
      const got = answers.get(`${operation.name} ${way}`) ?? new Set();
      const isOffered = way !== 'mqtt' || operation.bindings.includes('mqtt');
      const wanted = [
        // An operator publishes nothing (contract, section 3), so over MQTT nobody is one.
        ...(isOffered ? ['answered'] : []),
        // Over MQTT who is nobody does not come so far, and what is not offered is refused all alike.
        ...(way === 'mqtt' ? [] : ['401']),
        ...(operation.sight === 'none' && isOffered ? [] : ['404']),
        // Any credentials are enough there.
        ...(operation.right === 'authenticated' || !isOffered ? [] : ['403']),
      ];
      for (const each of wanted) if (!got.has(each)) missing.push(`${operation.name}, ${way}: ${each}`);
    }
  assert.equal(missing, []);
});

test('a field that nobody knows how to fill is named', async () => {
  const unknown = defineOperation({
    ...OPERATION_TABLE['sessions.get'],
    name: 'sessions.paint',
    input: z.strictObject({ session_id: z.string(), colour: z.string() }),
  });
  const fillers = { session_id: () => 'ses_1' };
  await inputOf(unknown, fillers).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'sessions.paint: the field "colour" has no filler'),
  );
});

const personaOf = (name: string): Persona => PERSONAS.find((persona) => persona.name === name) as Persona;

test('of capabilities and shares others than the owner are shown their own', async () => {
  await using stage = await openStage();
  const scene = await createScene(stage);
  const sharer = await personaOf('a guest that may share').enter(scene);
  const guest = await personaOf('a guest').enter(scene);
  const own = await share(scene, {}, sharer);
  const listed = async (what: string, field: string, { token }: Caller): Promise<string[]> => {
    const { items } = await stage.must('GET', `/v1/sessions/${scene.session.session_id}/${what}`, token);
    return items.map((item: Json) => item[field]);
  };
  assert.equal(await listed('shares', 'share_id', sharer), [own.share_id]);
  assert.is((await listed('shares', 'share_id', scene.owner)).length, 3);
  for (const caller of [sharer, guest])
    assert.equal(
      await listed('capabilities', 'id', caller),
      caller.client.capabilities.map(({ id }: Json) => id),
    );
  assert.ok((await listed('capabilities', 'id', scene.owner)).length > 3);
});

test('the refusals of one client are merged by their reason, over both bindings, and their counts add up', async () => {
  await using stage = await openStage();
  const persona = personaOf('a read-only guest');
  const cells = cellsOf(persona).filter(
    ({ expected, operation, way }) =>
      !expected.answered && expected.status === 403 && operation.sight !== 'none' && way === 'mqtt',
  );
  const { scene, caller, inputs } = await stageAct(stage, persona, cells);
  const { session_id } = scene.session;
  const line = await openLine(stage, caller);
  const before = await worldOf(stage, session_id, true);
  const counts: Record<string, number> = {};
  const started = performance.now();
  for (const [index, { operation, expected }] of cells.entries()) {
    const { reason = '' } = expected.answered ? {} : expected;
    const input = inputs[index] ?? {};
    for (let n = 0; n < 3; n++) await line.ask(operation, input);
    await overHttp(stage, operation, input, caller.token);
    counts[reason] = (counts[reason] ?? 0) + 4;
  }
  line.close();
  await stage.close();
  const after = await worldOf(stage, session_id, true);
  assert.equal(after.actors, before.actors, 'nothing else has changed');
  const events = eventsSince(after, before);
  const records = recordsSince(after, before);
  assert.ok(Object.keys(counts).length > 2);
  const seconds = Math.ceil((performance.now() - started) / 1_000);
  for (const [reason, count] of Object.entries(counts)) {
    const told = events.filter(({ data }) => data.reason === reason).map(({ data }) => data.count);
    const recorded = records.filter(({ data }) => data['reason'] === reason).map(({ data }) => data['count']);
    assert.is(
      told.reduce((sum, each) => sum + each, 0),
      count,
      reason,
    );
    assert.equal(recorded, told);
    assert.ok(told.length <= seconds + 1, `${told.length} events of ${reason} in ${seconds} s`);
  }
});

test.run();
