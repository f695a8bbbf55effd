import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSteps } from '../../actors/agent-steps.ts';
import { ProblemError } from '../../machines/error.ts';
import type { Confirmation } from '../../machines/question.ts';
import { STEP_LIMITS, type Asked, type Recorded } from '../../machines/step.ts';

/** What a handler's thread asks, without a thread: which questions are new, how many there may be, and what comes back. */
const test = suite('agent questions');

const answer = (id: string): Confirmation =>
  ({ coordination_id: id, status: 'confirmed', confirmations: [], rejections: [] }) as unknown as Confirmation;

const create = (recorded: readonly Recorded[] = [], waiting: readonly string[] = [], isBusy = false) => {
  const [asked, suspended]: [Asked[][], Asked[][]] = [[], []];
  let drawn = 0;
  const steps = createSteps({
    run: { recorded, awaited: waiting.map((key) => ({ key, remaining_ms: null })), command: 'analyze' },
    newCoordinationId: () => `crd_${++drawn}`,
    send: () => {},
    ask: (news) => void asked.push([...news]),
    suspend: (all) => void suspended.push([...all]),
    isBusy: () => isBusy,
    now: () => 0,
  });
  return { steps, asked, suspended };
};
const turn = (): Promise<unknown> => new Promise(setImmediate);
const question = { description: 'Shall it go on?' };
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  Promise.race([
    promise.then(
      () => 'answered',
      (error: unknown) => (error instanceof ProblemError ? error.problem.code : String(error)),
    ),
    turn().then(() => 'asked'),
  ]);

test('each question has a key of its own, is about the command unless it says otherwise, and ends the run once', async () => {
  const { steps, suspended } = create();
  void steps.confirm(question);
  void steps.confirm({ ...question, operation: 'deploy', details: { to: 'production' } });
  void steps.confirm(question, 'named');
  await turn();
  await turn();
  assert.is(suspended.length, 1);
  assert.equal(
    suspended[0]?.map((each) => [each.key, each.reason === 'confirm' ? [each.question.operation, each.details] : null]),
    [
      ['confirm#1', ['analyze', null]],
      ['confirm#2', ['deploy', { to: 'production' }]],
      ['confirm named', ['analyze', null]],
    ],
  );
});

test('an execution asks so many questions over all its runs, and no more', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(STEP_LIMITS.confirmations), async (before) => {
      const recorded = Array.from({ length: before }, (_, n) => ({ key: `confirm old ${n}`, result: answer('crd_0') }));
      const { steps } = create(recorded, [], true);
      for (let n = before; n < STEP_LIMITS.confirmations; n++) void steps.confirm(question, `new ${n}`);
      assert.is(await codeOf(steps.confirm(question, 'one more')), 'too_large');
    }),
    { numRuns: 30 },
  );
});

test('a later run finds the answers under their keys, and asks nothing that was asked before', async () => {
  const recorded = [{ key: 'confirm#1', result: answer('crd_a') }];
  const { steps, asked } = create(recorded, ['confirm#2'], true);
  const first = await steps.confirm(question);
  assert.is(first.coordination_id, 'crd_a');
  void steps.confirm(question);
  void steps.confirm(question);
  await turn();
  await turn();
  assert.equal(
    asked.map((news) => news.map(({ key }) => key)),
    [['confirm#3']],
  );
});

test('what is no question, or comes under a name that was used or after the run is to end, is refused at once', async () => {
  const { steps, asked } = create([], [], true);
  void steps.confirm(question, 'once');
  assert.is(await codeOf(steps.confirm(question, 'once')), 'conflict');
  assert.is(await codeOf(steps.confirm({ ...question, timeout: 0 })), 'invalid_input');
  assert.is(await codeOf(steps.confirm({ ...question, details: 'x'.repeat(16 * 1024) })), 'too_large');
  assert.is(await codeOf(steps.confirm({ ...question, details: 'x'.repeat(16 * 1024 - 2) })), 'asked');
  steps.abort(new ProblemError('cancelled', 'it is to end'), false);
  assert.is(await codeOf(steps.confirm(question)), 'cancelled');
  await turn();
  assert.is(asked.flat().length, 2);
});

test.run();
