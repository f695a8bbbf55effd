import { PassThrough } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Coordination } from '../../../machines/question.ts';
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

const create = () => {
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

test('Ctrl-C reaches whoever asked, also while a question waits', async () => {
  const { prompts, shows, input, interrupts } = create();
  prompts.ask(question('crd_1'));
  await shows('May crd_1 be deployed?');
  input.write('\x03');
  await eventually('it is heard', () => interrupts() === 1);
  prompts.close();
});

test.run();
