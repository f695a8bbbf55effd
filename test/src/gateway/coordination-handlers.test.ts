import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { StoredActor } from '../../../actors/reads.ts';
import { coordination, type CoordinationContext } from '../../../machines/coordination.ts';
import type { Answer } from '../../../machines/effect.ts';
import { problem } from '../../../machines/error.ts';
import type { Envelope } from '../../../machines/message.ts';
import type { Elector, Vote } from '../../../machines/question.ts';
import { coordinationSchema, questionSchema } from '../../../machines/question-schema.ts';
import type { Call, CallResult } from '../../../src/gateway/call.ts';
import {
  coordinationHandlers,
  isRequester,
  storedCoordinationView,
} from '../../../src/gateway/coordination-handlers.ts';
import { createCuts } from '../../../src/gateway/cuts.ts';
import { createSlots } from '../../../src/gateway/slots.ts';
import { createWaits } from '../../../src/gateway/waits.ts';
import { createDriver, type Driver } from '../../support/machine.ts';

/** What the gateway adds to a question: repeats, long-polls, pages, and who is said to have asked. */
const test = suite('coordination handlers');

const person = (principal: string, client: string | null): Elector => ({
  principal,
  client_id: client as Elector['client_id'],
  person: principal,
});
const [ADA, BOB, BOB2] = [person('ada', null), person('bob', 'cli_b'), person('bob', 'cli_b2')];
const TAKEN = { at: 1_000_000, random: 0 };

const open = (id: string): Driver<CoordinationContext, unknown> => {
  const one = createDriver<CoordinationContext, unknown>(coordination);
  const question = questionSchema.parse({ operation: 'deploy', description: 'Now?' });
  const head = { session_id: 'ses_1', coordination_id: id, question, details: null, execution_id: null };
  const opened = { type: 'coordination.open', ...head, requester: ADA, electorate: [ADA, BOB, BOB2], ...TAKEN };
  one.take(opened as { type: string });
  return one;
};
const voted = (one: Driver<CoordinationContext, unknown>, elector: Elector, vote: Vote): void =>
  void one.take({ type: 'coordination.vote', elector, vote, comment: null, ...TAKEN } as { type: string });
const storedOf = (one: Driver<CoordinationContext, unknown>, state = one.standing().value): StoredActor => {
  const { context } = one.standing();
  const [session, id] = [context.session_id, context.coordination_id];
  const done = state !== 'open';
  return {
    key: `${session}/coordination/${id}`,
    session,
    kind: 'coordination',
    id,
    state,
    done,
    context: { ...context },
  };
};
const bodyOf = (result: CallResult): Record<string, unknown> => {
  if (!result.ok || !('body' in result)) throw new Error(JSON.stringify(result));
  return { ...result.body };
};

const messageOf = ([first]: readonly Envelope[]): Record<string, unknown> => {
  if (first === undefined) throw new Error('nothing was asked');
  return { ...first.message };
};

const create = (questions: readonly Driver<CoordinationContext, unknown>[], reply: Answer = { ok: true, body: {} }) => {
  const asked: Envelope[] = [];
  let tell: (event: never) => void = () => {};
  /** Runs once: before the question is read, or once it is, and not handed over yet. */
  const [onRead, onAnswer]: [(() => void)[], (() => void)[]] = [[], []];
  const stored = () => questions.map((each) => storedOf(each));
  const system = {
    ask: async (envelope: Envelope) => {
      asked.push(envelope);
      return reply;
    },
    onEvent: (listener: (event: never) => void) => {
      tell = listener;
      return () => {};
    },
    reads: {
      actor: async (key: string) => {
        onRead.shift()?.();
        const found = stored().find((each) => each.key.endsWith(key.split('/').at(-1) ?? '')) ?? null;
        onAnswer.shift()?.();
        return found;
      },
      actors: async (_: string, __: string, { after = '', limit }: { after?: string; limit: number }) =>
        stored()
          .filter(({ id }) => id > after)
          .slice(0, limit),
    },
  } as never;
  const waits = createWaits(system);
  const presence = { connect: () => () => {} } as never;
  const slots = createSlots(10);
  const handlers = coordinationHandlers({ system, waits, slots, cuts: createCuts(), presence });
  const call = (caller: Elector, subject?: StoredActor): Call =>
    ({
      identity: { kind: 'owner', principal: caller.principal },
      requestId: 'req_1',
      signal: () => new AbortController().signal,
      authority: {
        caller: { principal: caller.principal, client_id: caller.client_id },
        session: { session_id: 'ses_1' },
      },
      subject: subject ?? stored()[0],
    }) as unknown as Call;
  const ends = (id: string): void => tell({ type: 'coordination_confirmed', subject: id, json: '{}' } as never);
  return { handlers, call, asked, waits, ends, onRead, onAnswer };
};

const DECIDED: Answer = { ok: false, problem: problem('already_decided', 'the question has its outcome') };
const coordination_id = 'crd_1' as const;
/** Seconds; longer than this file may take: an outcome that is missed fails it. */
const LONG = 600;

test('after the outcome the vote that counted is answered alike, to that client alone; any other is refused', async () => {
  const one = open(coordination_id);
  voted(one, BOB, 'confirm');
  const { handlers, call } = create([one], DECIDED);
  const say = async (caller: Elector, vote: Vote): Promise<unknown> => {
    const result = await handlers['coordinations.vote']({ coordination_id, vote }, call(caller));
    return result.ok ? bodyOf(result)['status'] : result.problem.code;
  };
  assert.is(await say(BOB, 'confirm'), 'confirmed');
  for (const [caller, vote] of [
    [BOB, 'reject'],
    [BOB2, 'confirm'],
    [ADA, 'confirm'],
  ] as const)
    assert.is(await say(caller, vote), 'already_decided');
});

test('any other refusal is handed on unread, and a vote with its comment', async () => {
  const refusal: Answer = { ok: false, problem: problem('read_only', 'no') };
  const { handlers, call, asked, onRead } = create([open(coordination_id)], refusal);
  let reads = 0;
  onRead.push(() => (reads += 1));
  const result = await handlers['coordinations.vote']({ coordination_id, vote: 'reject', comment: 'why' }, call(BOB));
  assert.equal([result, reads], [refusal, 0]);
  const { type, vote, comment, caller } = messageOf(asked);
  assert.equal(
    [type, vote, comment, caller],
    ['session.vote', 'reject', 'why', { principal: 'bob', client_id: 'cli_b' }],
  );
});

test('a long-poll answers with the outcome, whether it comes before, while or after it is read; else how it stands', async () => {
  const get = (wait?: number) => ({ coordination_id, ...(wait === undefined ? {} : { wait }) });
  for (const when of ['before', 'reading', 'answering', 'after', 'never'] as const) {
    const one = open(coordination_id);
    const { handlers, call, waits, ends, onRead, onAnswer } = create([one]);
    const now = call(BOB);
    const decide = (): void => {
      voted(one, BOB, 'confirm');
      ends(coordination_id);
    };
    if (when === 'before') voted(one, BOB, 'confirm');
    if (when === 'reading') onRead.push(decide);
    if (when === 'answering') onAnswer.push(decide);
    const waiting = handlers['coordinations.get'](get(when === 'never' ? 0.01 : LONG), now);
    await new Promise(setImmediate);
    if (when === 'after') {
      assert.is(waits.count(), 1);
      decide();
    }
    assert.is(bodyOf(await waiting)['status'], when === 'never' ? 'open' : 'confirmed', when);
    assert.is(waits.count(), 0, 'nobody is left waiting');
  }
  const { handlers, call } = create([open(coordination_id)]);
  assert.is(bodyOf(await handlers['coordinations.get'](get(), call(BOB)))['status'], 'open');
});

test('every question is on one page, whatever its length', async () => {
  const all = ['crd_1', 'crd_2', 'crd_3', 'crd_4'];
  const { handlers, call } = create(all.map(open));
  for (const limit of [1, 2, 3, 4, 5]) {
    const seen: unknown[] = [];
    for (let after: string | null | undefined; after !== null; ) {
      const page = { session_id: 'ses_1', limit, ...(after === undefined ? {} : { after }) } as never;
      const body = bodyOf(await handlers['coordinations.list'](page, call(BOB)));
      seen.push(...(body['items'] as { coordination_id: string }[]).map((each) => each.coordination_id));
      after = body['next'] as string | null;
    }
    assert.equal(seen, all);
  }
});

test('who asked is the client that did, and the session is told who', async () => {
  const { handlers, call, asked } = create([open(coordination_id)]);
  const subject = call(ADA).subject;
  assert.equal(
    [ADA, BOB, person('ada', 'cli_a')].map((each) => isRequester(call(each), subject)),
    [true, false, false],
  );
  await handlers['coordinations.cancel']({ coordination_id }, call(BOB));
  const { type, caller, requested_by } = messageOf(asked);
  assert.equal(
    [type, caller, requested_by],
    ['session.retract', { principal: 'bob', client_id: 'cli_b' }, { principal: 'ada', client_id: null }],
  );
});

test('one whose actor was given up is shown as what was said of it: cancelled', () => {
  const shown = storedCoordinationView(storedOf(open(coordination_id), 'failed'));
  assert.equal([shown.status, shown.reason], ['cancelled', 'actor_failed']);
  assert.ok(coordinationSchema.safeParse(shown).success);
});

test.run();
