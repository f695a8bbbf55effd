import { mock } from 'node:test';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AuditEntry, AuditType } from '../../../machines/audit.ts';
import { createAudit, NO_AUDIT } from '../../../src/gateway/audit.ts';
import { settle } from '../../support/mqtt-wire.ts';

const test = suite('what the gateway records');

test.before.each(() => mock.timers.enable({ apis: ['setTimeout'] }));
test.after.each(() => mock.timers.reset());

const entry = (type: AuditType, data: Record<string, unknown> = {}): AuditEntry => ({
  type,
  at: 1,
  session_id: null,
  principal: 'ada',
  client_id: null,
  data,
});

/** An audit over a journal that makes durable when it is told to. */
const bench = () => {
  const noted: AuditEntry[] = [];
  const errors: unknown[] = [];
  const waiting: PromiseWithResolvers<void>[] = [];
  const state = { holds: false, fails: false };
  const audit = createAudit({
    note: async (entries) => {
      noted.push(...entries);
      if (state.fails) throw new Error('no space');
      if (!state.holds) return;
      const durable = Promise.withResolvers<void>();
      waiting.push(durable);
      await durable.promise;
    },
    onError: (error) => void errors.push(error),
  });
  return { audit, noted, errors, waiting, state };
};

test('a note is there when it resolves, and who notes hears where it cannot be', async () => {
  const { audit, noted, errors, waiting, state } = bench();
  state.holds = true;
  let durable = false;
  const done = audit.note(entry('key_used')).then(() => {
    durable = true;
  });
  await settle();
  assert.equal([noted.length, durable], [1, false]);
  waiting[0]?.resolve();
  await done;
  assert.ok(durable);
  assert.equal(noted, [entry('key_used')], 'as it was given, without a count');
  state.fails = true;
  await audit.note(entry('operator_subscribed')).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'no space'),
  );
  assert.equal(errors, [], 'it was told to the one who asked');
});

test('what is merged is recorded with its count, refusals by the second, strangers by the minute', async () => {
  const { audit, noted } = bench();
  const types = ['access_refused', 'command_refused', 'login_failed', 'not_found'] as const;
  for (let n = 1; n <= 5; n += 1) for (const type of types) audit.merge(entry(type, { n }), 'k');
  await settle();
  const counts = () => types.map((type) => noted.filter((each) => each.type === type).map(({ data }) => data['count']));
  assert.equal(counts(), [[1], [1], [1], [1]]);
  mock.timers.tick(1_000);
  await settle();
  assert.equal(counts(), [[1, 4], [1, 4], [1], [1]]);
  mock.timers.tick(59_000);
  await settle();
  assert.equal(counts(), [
    [1, 4],
    [1, 4],
    [1, 4],
    [1, 4],
  ]);
  assert.equal(noted.at(-1)?.data, { n: 5, count: 4 }, 'the last one speaks');
  await audit.close();
  assert.is(noted.length, 8);
});

test('another key or another type is another record', async () => {
  const { audit, noted } = bench();
  audit.merge(entry('access_refused'), 'a');
  audit.merge(entry('access_refused'), 'b');
  audit.merge(entry('command_refused'), 'a');
  await settle();
  assert.equal(
    noted.map(({ type, data }) => [type, data['count']]),
    [
      ['access_refused', 1],
      ['access_refused', 1],
      ['command_refused', 1],
    ],
  );
  await audit.close();
});

test('what cannot be recorded is told, and the next is tried all the same', async () => {
  const { audit, errors, noted, state } = bench();
  state.fails = true;
  audit.merge(entry('login_failed'), 'a');
  await settle();
  assert.is((errors[0] as Error).message, 'no space');
  state.fails = false;
  audit.merge(entry('login_failed'), 'b');
  await audit.close();
  assert.equal([errors.length, noted.length], [1, 2]);
});

test('closing records what is counted and resolves when all of it is durable; later nothing is taken', async () => {
  const { audit, noted, waiting, state } = bench();
  state.holds = true;
  for (let n = 0; n < 3; n += 1) {
    audit.merge(entry('access_refused'), 'a');
    audit.merge(entry('not_found'), 'a');
  }
  let closed = false;
  const done = audit.close().then(() => {
    closed = true;
  });
  await settle();
  assert.equal(
    noted.map(({ data }) => data['count']),
    [1, 1, 2, 2],
  );
  for (const each of waiting.splice(1)) each.resolve();
  await settle();
  assert.not.ok(closed, 'one is on its way');
  waiting[0]?.resolve();
  await done;
  assert.ok(closed);
  audit.merge(entry('access_refused'), 'a');
  mock.timers.tick(120_000);
  await settle();
  assert.is(noted.length, 4);
});

test('a record that fails while closing keeps nobody from ending', async () => {
  const { audit, errors, state } = bench();
  audit.merge(entry('access_refused'), 'a');
  audit.merge(entry('access_refused'), 'a');
  state.fails = true;
  await audit.close();
  assert.is(errors.length, 1);
});

test('no audit takes everything', async () => {
  await NO_AUDIT.note(entry('key_used'));
  NO_AUDIT.merge(entry('key_used'), 'k');
  await NO_AUDIT.close();
});

test.run();
