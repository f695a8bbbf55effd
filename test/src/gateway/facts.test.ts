import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { StoredActor } from '../../../actors/reads.ts';
import type { ReleasedEvent, System } from '../../../actors/system.ts';
import type { Capability } from '../../../machines/capability.ts';
import { createFacts, type ClientFacts } from '../../../src/gateway/facts.ts';
import { capabilityOf } from '../../support/capabilities.ts';

const test = suite('facts at hand');

const held = (...ids: string[]): Capability[] => ids.map((id) => capabilityOf({ id }));
const clientOf = (id: string, ...ids: string[]): ClientFacts => ({
  client_id: id as never,
  session_id: 'ses_1' as never,
  principal: 'ada',
  type: 'cli',
  token_hash: 'hash',
  capabilities: held(...ids),
});
const idsOf = (client: ClientFacts | null | undefined): string[] | null =>
  client === null || client === undefined ? null : client.capabilities.map(({ id }) => id);

/** A store whose answers come when they are let go, and a ring whose events the test makes. */
const bench = (size?: number) => {
  const stored = new Map<string, { facts: ClientFacts; done: boolean }>();
  const events = new Set<(event: ReleasedEvent) => void>();
  const cuts = new Set<(client: string) => void>();
  const waiting: (() => void)[] = [];
  const state = { holds: false, reads: 0, session: 'open' as 'open' | 'ended' | 'gone' };
  let seq = 0;

  const actorOf = (id: string): StoredActor | null => {
    const found = stored.get(id);
    if (found === undefined) return null;
    return {
      key: id,
      session: 'ses_1' as never,
      kind: 'client',
      id,
      state: found.done ? 'left' : 'attached',
      done: found.done,
      context: { ...found.facts, joined_at: 1, name: 'secret' },
    };
  };
  /** What was read is what was there when it was asked for. */
  const read = <T>(value: T): Promise<T> => {
    state.reads += 1;
    if (!state.holds) return Promise.resolve(value);
    return new Promise((resolve) => waiting.push(() => resolve(value)));
  };
  const on = <L>(all: Set<L>, listener: L): (() => void) => {
    all.add(listener);
    return () => void all.delete(listener);
  };
  const system = {
    reads: {
      find: (_: string, id: string) => read(actorOf(id)),
      actor: () =>
        read(
          state.session === 'gone'
            ? null
            : {
                done: state.session === 'ended',
                context: { session_id: 'ses_1', owner: 'ada', root_capability_id: 'cap_0', opened_at: 1, ttl_ms: 5 },
              },
        ),
    },
    onEvent: (listener: (event: ReleasedEvent) => void) => on(events, listener),
    onCut: (listener: (client: string) => void) => on(cuts, listener),
  } as unknown as System;

  const emit = (type: string, subject: string, data: object = {}): number => {
    seq += 1;
    const json = JSON.stringify({ id: `evt_${seq}`, seq, type, data });
    for (const listener of events) listener({ session: 'ses_1', seq, type, subject, json });
    return seq;
  };
  return {
    facts: createFacts(system, size),
    store: (facts: ClientFacts, done = false) => void stored.set(facts.client_id, { facts, done }),
    emit,
    revoke: (capability: string, revoked: string[], clients: string[], cut: string[] = []) =>
      emit('capability_revoked', capability, { capability_id: capability, revoked, clients, cut, reason: 'revoked' }),
    cut: (client: string) => {
      for (const listener of cuts) listener(client);
    },
    letGo: () => waiting.splice(0).forEach((go) => go()),
    listeners: () => events.size + cuts.size,
    state,
  };
};

const one = 'cli_1' as never;
const two = 'cli_2' as never;

test('a client is read once; what is known of it is what decides, and no more', async () => {
  const { facts, store, state } = bench();
  store(clientOf('cli_1', 'cap_1'));
  assert.is(facts.knownClient(one), undefined);
  assert.equal(await facts.client(one), clientOf('cli_1', 'cap_1'));
  assert.equal(facts.knownClient(one), clientOf('cli_1', 'cap_1'));
  await facts.client(one);
  assert.is(state.reads, 1);
});

test('who is not there, and who has left, is nobody, and is looked for again', async () => {
  const { facts, store, state } = bench();
  assert.is(await facts.client(one), null);
  store(clientOf('cli_1', 'cap_1'), true);
  assert.is(await facts.client(one), null);
  assert.is(facts.knownClient(one), undefined);
  assert.is(state.reads, 2);
});

test('a session is read once, and is what does not change about it', async () => {
  const { facts, state } = bench();
  const session = { session_id: 'ses_1', owner: 'ada', root_capability_id: 'cap_0', opened_at: 1 };
  assert.equal(await facts.session('ses_1' as never), session);
  await facts.session('ses_1' as never);
  assert.is(state.reads, 1);
});

test('what is revoked is taken at once from whom it names, and from nobody else', async () => {
  const { facts, store, revoke } = bench();
  store(clientOf('cli_1', 'cap_1', 'cap_2', 'cap_3'));
  store(clientOf('cli_2', 'cap_1', 'cap_9'));
  await facts.client(one);
  await facts.client(two);
  revoke('cap_1', ['cap_1', 'cap_3'], ['cli_1', 'cli_7']);
  assert.equal(idsOf(facts.knownClient(one)), ['cap_2']);
  assert.equal(idsOf(facts.knownClient(two)), ['cap_1', 'cap_9'], 'it is not named');
  assert.equal(idsOf(await facts.client(one)), ['cap_2']);
  assert.is(facts.knownClient('cli_7' as never), undefined);
});

test('what was read before it was revoked is not kept', async () => {
  const { facts, store, revoke, state, letGo } = bench();
  store(clientOf('cli_1', 'cap_1', 'cap_2'));
  state.holds = true;
  const reading = facts.client(one);
  store(clientOf('cli_1', 'cap_2'));
  revoke('cap_1', ['cap_1'], ['cli_1']);
  letGo();
  await reading;
  assert.is(facts.knownClient(one), undefined);
  state.holds = false;
  assert.equal(idsOf(await facts.client(one)), ['cap_2']);
});

for (const [what, end] of [
  ['left', ({ emit }: ReturnType<typeof bench>) => void emit('client_left', 'cli_1')],
  ['was cut', ({ cut }: ReturnType<typeof bench>) => cut('cli_1')],
] as const)
  test(`who ${what} is forgotten, also by a read that was under way`, async () => {
    const on = bench();
    const { facts, store, state, letGo } = on;
    store(clientOf('cli_1', 'cap_1'));
    await facts.client(one);
    end(on);
    assert.is(facts.knownClient(one), undefined);
    state.holds = true;
    const reading = facts.client(one);
    store(clientOf('cli_1'), true);
    end(on);
    letGo();
    await reading;
    assert.is(facts.knownClient(one), undefined);
    state.holds = false;
    assert.is(await facts.client(one), null);
  });

test('what was just committed is kept, unless something was forgotten since it was asked for', () => {
  const { facts, revoke, emit, cut } = bench();
  const session = { session_id: 'ses_1' as never, owner: 'ada', root_capability_id: 'cap_0' as never, opened_at: 1 };
  let since = facts.generation();
  emit('execution_queued', 'exe_1');
  facts.keep(since, clientOf('cli_1', 'cap_1'));
  assert.equal(idsOf(facts.knownClient(one)), ['cap_1'], 'other events forget nothing');
  for (const forget of [() => revoke('cap_9', ['cap_9'], []), () => emit('client_left', 'cli_9'), () => cut('cli_9')]) {
    since = facts.generation();
    forget();
    assert.is.not(facts.generation(), since);
    facts.keep(since, clientOf('cli_2', 'cap_1'), session);
    assert.is(facts.knownClient(two), undefined);
  }
});

test('a session is kept all the same: nothing of it is ever revoked', async () => {
  const { facts, state, emit } = bench();
  const session = { session_id: 'ses_1' as never, owner: 'eve', root_capability_id: 'cap_0' as never, opened_at: 1 };
  const since = facts.generation();
  emit('client_left', 'cli_9');
  facts.keep(since, clientOf('cli_2'), session);
  assert.equal(await facts.session('ses_1' as never), session);
  assert.is(state.reads, 0);
});

test('barred is who has to go, and hears the words that say so', async () => {
  const { facts, store, revoke, emit } = bench();
  store(clientOf('cli_1', 'cap_1'));
  store(clientOf('cli_2', 'cap_1', 'cap_2'));
  await facts.client(one);
  await facts.client(two);
  emit('client_joined', 'cli_1');
  assert.is(facts.barred('cli_1'), undefined);
  const revoked = revoke('cap_1', ['cap_1'], ['cli_1', 'cli_2'], ['cli_1']);
  assert.equal(facts.barred('cli_1'), { seqs: new Set([revoked]), words: new Set(['capability_revoked/cap_1']) });
  assert.is(facts.barred('cli_2'), undefined, 'it keeps another');
  const left = emit('client_left', 'cli_1', { reason: 'revoked' });
  emit('client_left', 'cli_3');
  assert.equal(facts.barred('cli_1'), {
    seqs: new Set([revoked, left]),
    words: new Set(['capability_revoked/cap_1', 'client_left/cli_1']),
  });
});

test('who leaves of itself hears of that, and of nothing else', () => {
  const { facts, emit } = bench();
  const left = emit('client_left', 'cli_1');
  assert.equal(facts.barred('cli_1'), { seqs: new Set([left]), words: new Set(['client_left/cli_1']) });
});

test('whom two revocations of one turn end hears of both', () => {
  const { facts, revoke } = bench();
  const first = revoke('cap_1', ['cap_1'], ['cli_1'], ['cli_1']);
  const second = revoke('cap_2', ['cap_2'], ['cli_1'], ['cli_1']);
  assert.equal(facts.barred('cli_1'), {
    seqs: new Set([first, second]),
    words: new Set(['capability_revoked/cap_1', 'capability_revoked/cap_2']),
  });
});

test('what does not fit is forgotten, and read again', async () => {
  const { facts, store, state } = bench(2);
  for (const n of [1, 2, 3]) store(clientOf(`cli_${n}`, 'cap_1'));
  for (const n of [1, 2, 3]) await facts.client(`cli_${n}` as never);
  assert.is(facts.knownClient(one), undefined);
  assert.is(idsOf(facts.knownClient('cli_3' as never))?.length, 1);
  assert.equal(idsOf(await facts.client(one)), ['cap_1']);
  assert.is(state.reads, 4);
});

test('closing ends the listening', () => {
  const { facts, listeners } = bench();
  assert.is(listeners(), 2);
  facts.close();
  assert.is(listeners(), 0);
});

for (const end of ['session_closed', 'session_expired', 'actor_failed']) {
  test(`a session that has ended by ${end} is read anew each time, until retention has removed it`, async () => {
    const { facts, emit, state } = bench();
    const session = 'ses_1' as never;
    await facts.session(session);
    await facts.session(session);
    assert.is(state.reads, 1);
    emit(end, 'ses_1');
    state.session = 'ended';
    assert.is((await facts.session(session))?.owner, 'ada');
    state.session = 'gone';
    assert.is(await facts.session(session), null);
  });
}

test('a session that was read before its end and answered after it is not kept', async () => {
  const { facts, emit, state, letGo } = bench();
  const session = 'ses_1' as never;
  state.holds = true;
  const late = facts.session(session);
  emit('session_closed', 'ses_1');
  letGo();
  assert.is((await late)?.owner, 'ada');
  state.holds = false;
  state.session = 'gone';
  assert.is(await facts.session(session), null);
});

test.run();
