import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Operation } from '../../../src/operations/operation.ts';
import { absent, isId, shownBut, withAbsent } from './matrix/absent.ts';
import { OPERATIONS, waysOf } from './matrix/cell.ts';
import { inputOf } from './matrix/input.ts';
import { PERSONAS, type Persona } from './matrix/persona.ts';
import { createScene, fillersOf, share, start, type Caller, type Scene } from './matrix/scene.ts';
import { openStage, type Stage } from './matrix/stage.ts';
import { openLine, overHttp, overStream, type Line, type Reply } from './matrix/wire.ts';
import { worldOf } from './matrix/world.ts';

type Input = Record<string, unknown>;
/** Ids of the things of a session, by the field that names them. */
type Things = Readonly<Record<string, readonly string[]>>;

/** A session of somebody else. */
interface Hidden {
  readonly scene: Scene;
  readonly things: Things;
  /** As it was before anybody asked. */
  readonly world: string;
}

/**
 * What is out of sight is answered to the last byte as what is absent (contract, promise 12): whatever the operation, the
 * way, the caller, what it is that is out of sight, and whatever else is wrong with the call.
 */
const test = suite<{ stage: Stage; hidden: readonly Hidden[] }>('out of sight and absent');

const CHOICE = { own: false, command: 'work' };

/** What a session has of each thing that an input names. */
const thingsOf = async (scene: Scene): Promise<Things> => {
  const found: Record<string, string> = {};
  const fillers = fillersOf(scene, scene.owner, CHOICE);
  for (const operation of OPERATIONS)
    for (const [field, value] of Object.entries(await inputOf(operation, fillers)))
      if (isId(field)) found[field] ??= String(value);
  const { client_id, capabilities } = scene.session;
  const [held] = capabilities;
  return {
    ...Object.fromEntries(Object.entries(found).map(([field, id]) => [field, [id]])),
    client_id: [found['client_id'] ?? '', client_id],
    // What the owner's client holds, and the root from which it descends, are capabilities as well.
    capability_id: [found['capability_id'] ?? '', held.id, held.parent_id],
  };
};

const world = async ({ stage, session }: Scene): Promise<string> =>
  JSON.stringify(await worldOf(stage, session.session_id));

/** Compared without a word of both: they are long. */
const isUntouched = async ({ scene, world: before }: Pick<Hidden, 'scene' | 'world'>): Promise<void> =>
  assert.ok((await world(scene)) === before, 'a trace is left in the session');

/** One in which all goes on. */
const live = async (stage: Stage): Promise<Hidden> => {
  const scene = await createScene(stage);
  const { execution_id = [], ...things } = await thingsOf(scene);
  const running = await start(scene, scene.owner.token, 'work');
  return { scene, things: { ...things, execution_id: [...execution_id, running] }, world: await world(scene) };
};

/** One in which all has ended, and at last it itself. */
const ended = async (stage: Stage): Promise<Hidden> => {
  const scene = await createScene(stage);
  const things = await thingsOf(scene);
  const { session_id } = scene.session;
  const { token } = scene.owner;
  await stage.must('DELETE', `/v1/shares/${things['share_id']?.[0]}`, token);
  await stage.must('DELETE', `/v1/sessions/${session_id}/clients/${things['client_id']?.[0]}`, token);
  await stage.must('DELETE', `/v1/sessions/${session_id}`, token);
  return { scene, things, world: await world(scene) };
};

/** A way to make a call, and what may be wrong with it that is looked at after sight. */
interface Manner {
  readonly name: string;
  readonly ask: (input: Input) => Promise<Reply>;
}

const mannersOf = (stage: Stage, { token }: Caller, line: Line | null, operation: Operation): readonly Manner[] => {
  const { method } = operation.http;
  const wrong = (input: Input): Input => ({ ...input, nonsense: 'x' });
  return waysOf(operation).flatMap((way): readonly Manner[] => {
    if (way === 'stream') return [{ name: way, ask: (input) => overStream(stage, operation, input, token) }];
    if (way === 'http') {
      const ask = (input: Input, instead?: string) => overHttp(stage, operation, input, token, instead);
      return [
        { name: way, ask },
        ...(method === 'POST'
          ? [
              { name: 'http, a field too many', ask: (input: Input) => ask(wrong(input)) },
              { name: 'http, a body that is no object', ask: (input: Input) => ask(input, '[]') },
            ]
          : []),
      ];
    }
    if (line === null) return [];
    return [
      { name: way, ask: (input) => line.ask(operation, input) },
      { name: 'mqtt, a field too many', ask: (input) => line.ask(operation, wrong(input)) },
    ];
  });
};

/** Which of the fields are made to name something else: each alone, and all. */
const swapsOf = (fields: readonly string[]): readonly (readonly string[])[] =>
  fields.length > 1 ? [fields, ...fields.map((field) => [field])] : fields.map((field) => [field]);

/** The inputs in which these fields name what is hidden. */
const hiddenInputs = (input: Input, swap: readonly string[], { things }: Hidden): readonly Input[] => {
  const count = Math.max(...swap.map((field) => things[field]?.length ?? 0));
  return Array.from({ length: count }, (_, index) => ({
    ...input,
    ...Object.fromEntries(swap.map((field) => [field, things[field]?.[index] ?? things[field]?.[0]])),
  }));
};

/** Where the two can be told apart. */
const differencesFor = async (
  stage: Stage,
  hidden: readonly Hidden[],
  persona: Persona,
): Promise<readonly string[]> => {
  const scene = await createScene(stage, persona.ownerByJwt);
  const caller = await persona.enter(scene);
  const line = persona.standing.credentials === 'client' ? await openLine(stage, caller) : null;
  const differences: string[] = [];
  for (const operation of OPERATIONS) {
    // Of keys an operator sees all.
    if (operation.right === 'operator' && persona.standing.operator) continue;
    const input = await inputOf(operation, fillersOf(scene, caller, CHOICE));
    const seen = operation.sight === 'none' ? null : `${operation.sight}_id`;
    for (const swap of swapsOf(Object.keys(input).filter(isId)))
      for (const { name, ask } of mannersOf(stage, caller, line, operation)) {
        const nothing = withAbsent(input, swap);
        const reply = await ask(nothing);
        const wanted = shownBut(reply, nothing, swap);
        const what = `${operation.name} by ${swap.join(' and ')} of another, ${name}`;
        const isUnseen = ['not_found', 'method_not_found', 'unauthenticated'].includes(reply.problem?.code);
        if (seen !== null && swap.includes(seen) && !isUnseen) differences.push(`${what}: ${wanted}`);
        for (const each of hidden)
          for (const asked of hiddenInputs(input, swap, each)) {
            const got = shownBut(await ask(asked), asked, swap);
            if (got !== wanted) differences.push(`${what}: ${got}, not ${wanted}`);
          }
      }
  }
  line?.close();
  return differences;
};

test.before(async (context) => {
  context.stage = await openStage();
  context.hidden = [await live(context.stage), await ended(context.stage)];
});
test.after(async ({ stage }) => stage.close());

for (const persona of PERSONAS)
  if (persona.standing.credentials !== 'dead' && persona.standing.state === 'good')
    test(`to ${persona.name}`, async ({ stage, hidden }) => {
      assert.equal(await differencesFor(stage, hidden, persona), []);
      for (const each of hidden) await isUntouched(each);
    });

test('the tokens of shares that let nobody in', async ({ stage }) => {
  const scene = await createScene(stage);
  const { must, on } = stage;
  const [good, revoked, short] = [
    await share(scene, {}),
    await share(scene, {}),
    await share(scene, { constraints: { expires_in: 60 } }),
  ];
  await must('DELETE', `/v1/shares/${revoked.share_id}`, scene.owner.token);
  on.system.advance(60_001);
  const [id, secret] = String(good.token).split('.') as [string, string];
  const [, other] = String(revoked.token).split('.');
  const before = await world(scene);
  for (const credentials of [null, scene.owner.token]) {
    const answers = new Set<string>();
    for (const token of [revoked.token, short.token, `${id}.${other}`, `${absent(id)}.${secret}`, id, 'x', ''])
      answers.add(
        (await overHttp(stage, operationNamed('sessions.join'), { token, client: { type: 'cli' } }, credentials)).shown,
      );
    assert.is(answers.size, 1, [...answers].join('\n'));
    assert.ok([...answers][0]?.startsWith('[401,'));
  }
  await isUntouched({ scene, world: before });
});

const operationNamed = (name: string): Operation => OPERATIONS.find((each) => each.name === name) as Operation;

test('nothing of it all is told later', async ({ stage, hidden }) => {
  await stage.close();
  for (const each of hidden) await isUntouched(each);
});

test.run();
