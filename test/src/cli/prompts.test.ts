import { PassThrough } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Coordination } from '../../../machines/question.ts';
import { ProblemError } from '../../../machines/error.ts';
import { createPrompts } from '../../../src/cli/prompts.ts';
import type { Event, HttpClient } from '../../../src/client/index.ts';
import { eventually } from '../../support/server.ts';

/** What somebody at a terminal is asked, and when not any more. */
const test = suite('prompts');

const question = (id: string): Coordination =>
  ({
    coordination_id: id,
    status: 'open',
    operation: 'deploy',
    description: `May ${id} be deployed?`,
    requested_by: { principal: 'ada', client_id: null },
    required_confirmations: 1,
    confirmations: [],
    rejections: [],
  }) as unknown as Coordination;

const create = (refused: () => Error | null = () => null) => {
  const votes: string[] = [];
  const [input, output] = [new PassThrough(), new PassThrough()];
  let said = '';
  let looked: Promise<Coordination> | null = null;
  output.on('data', (text: Buffer) => (said += text.toString()));
  const coordinations = {
    get: async ({ coordination_id: id }: { coordination_id: string }) => {
      const answer = looked ?? question(id);
      looked = null;
      return answer;
    },
    vote: async ({ coordination_id: id, vote }: { coordination_id: string; vote: string }) => {
      const error = refused();
      if (error !== null) throw error;
      votes.push(`${id} ${vote}`);
      return { ...question(id), status: vote === 'confirm' ? 'confirmed' : 'rejected' };
    },
  } as unknown as HttpClient['coordinations'];
  let interrupts = 0;
  // As a terminal, which reads key by key.
  Object.assign(output, { isTTY: true });
  const onInterrupt = (): void => void (interrupts += 1);
  const prompts = createPrompts({ client: { coordinations }, input, output, onInterrupt });
  const shows = (text: string) => eventually(`it says ${text}`, () => said.includes(text));
  return {
    prompts,
    votes,
    shows,
    input,
    interrupts: () => interrupts,
    said: () => said,
    /** The next look-up waits for what this is called with. */
    lookUp: () => {
      const { promise, resolve } = Promise.withResolvers<Coordination>();
      looked = promise;
      return resolve;
    },
    type: (text: string) => void input.write(`${text}\n`),
  };
};
const event = (type: string, coordination_id: string): Event =>
  ({ type, data: { coordination_id } }) as unknown as Event;

test('questions are asked one at a time, and an answer is a vote', async () => {
  const { prompts, votes, shows, said, type } = create();
  prompts.ask(question('crd_1'));
  prompts.heard(event('coordination_request', 'crd_2'));
  await shows('May crd_1 be deployed?');
  assert.not.match(said(), 'crd_2');
  type('c');
  await shows('May crd_2 be deployed?');
  type('reject');
  await eventually('both are answered', () => votes.length === 2);
  assert.equal(votes, ['crd_1 confirm', 'crd_2 reject']);
  prompts.close();
});

test('what has its outcome is not asked any more, and Enter leaves a question to others', async () => {
  const { prompts, votes, shows, said, type } = create();
  for (const id of ['crd_1', 'crd_2', 'crd_3', 'crd_4']) prompts.ask(question(id));
  await shows('May crd_1 be deployed?');
  prompts.heard(event('coordination_confirmed', 'crd_2'));
  prompts.heard(event('coordination_rejected', 'crd_1'));
  await shows('May crd_3 be deployed?');
  type('');
  await shows('May crd_4 be deployed?');
  type('confirm');
  await eventually('the last is answered', () => votes.length === 1);
  assert.equal(votes, ['crd_4 confirm']);
  assert.not.match(said(), 'May crd_2');
  prompts.close();
});

test('what has its outcome while it is looked up is not asked', async () => {
  const { prompts, shows, said, lookUp } = create();
  const found = lookUp();
  prompts.heard(event('coordination_request', 'crd_1'));
  prompts.heard(event('coordination_cancelled', 'crd_1'));
  found(question('crd_1'));
  await new Promise(setImmediate);
  prompts.heard(event('coordination_request', 'crd_2'));
  await shows('May crd_2 be deployed?');
  assert.not.match(said(), 'crd_1');
  prompts.close();
});

test('an answer is read in any case, goes to the question at hand, and whatever is no answer is none', async () => {
  const { prompts, votes, shows, type } = create();
  const answers = [' C ', 'R', 'maybe', 'CONFIRM', 'Reject'];
  for (const [n, answer] of answers.entries()) {
    prompts.ask(question(`crd_${n}`));
    prompts.ask(question(`crd_${n}b`));
    await shows(`May crd_${n} be deployed?`);
    // The outcome of another is no reason to stop.
    prompts.heard(event('coordination_confirmed', `crd_${n}b`));
    type(answer);
  }
  await eventually('all are answered', () => votes.length === 4);
  assert.equal(votes, ['crd_0 confirm', 'crd_1 reject', 'crd_3 confirm', 'crd_4 reject']);
  prompts.close();
});

test('a vote that is refused is said, and the next question is asked', async () => {
  const { prompts, shows, type } = create(() => new ProblemError('security_violation', 'you may not decide that'));
  prompts.ask(question('crd_1'));
  prompts.ask(question('crd_2'));
  await shows('May crd_1 be deployed?');
  type('c');
  await shows('you may not decide that');
  await shows('May crd_2 be deployed?');
  prompts.close();
});

test('what is decided when it is looked up is not asked, nor is anything once it is closed, and nothing steers the terminal', async () => {
  const { prompts, shows, said, lookUp } = create();
  lookUp()({ ...question('crd_1'), status: 'confirmed' });
  prompts.heard(event('coordination_request', 'crd_1'));
  await new Promise(setImmediate);
  prompts.ask({ ...question('crd_2'), description: 'red \x1b[31m\x07 text' });
  prompts.ask(question('crd_3'));
  await shows('crd_2');
  prompts.close();
  prompts.ask(question('crd_4'));
  await new Promise(setImmediate);
  for (const text of ['crd_1', 'crd_3', 'crd_4', '\x1b[31m', '\x07']) assert.not.ok(said().includes(text), text);
});

test('Ctrl-C reaches whoever asked, also while a question waits', async () => {
  const { prompts, shows, input, interrupts } = create();
  prompts.ask(question('crd_1'));
  await shows('May crd_1 be deployed?');
  input.write('\x03');
  await eventually('it is heard', () => interrupts() === 1);
  prompts.close();
});

test.run();
