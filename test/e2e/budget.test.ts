// limit: 180 s
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isTerminalEvent, type Event } from '../../machines/event.ts';
import { connackOf } from '../support/ears.ts';
import { within } from '../support/mqtt-wire.ts';
import { createRandom, createWorkspace, eventually, type Json } from '../support/server.ts';
import { ok } from './scene.ts';
import { accepted, createSpending, othersAre, pathOf, placeOf, queuedBy, type Outcome } from './spending.ts';

/**
 * What a capability allows is spent exactly, however many ask at once and over whatever binding, and a crash gives nothing
 * back (contract, section 6, and promises 11 and 13).
 */
const test = suite('budgets');

const SEED = Number(process.env['ARBOR_BUDGET_SEED'] ?? Date.now() % 1_000_000_000);
/** Accepted commands of one principal and command in an hour, for those who act as `cli`. */
const PRINCIPAL_LIMIT = 12;

const space = createWorkspace();
const config = space.config({
  commands: ['no-op', 'slow'],
  agents: { threads: 6 },
  policy: { principal_rate_limit: { cli: PRINCIPAL_LIMIT } },
});
let server = await space.serve({ config });
test.after(async () => space[Symbol.asyncDispose]());

const { askHttp, endAll, guestsOf, joinBy, race, share, tryJoin } = createSpending(() => server);
test.after.each(endAll);

test('200 at once on 100: half of them get through, over whatever binding', async () => {
  const session = await server.open();
  const made = await share(session, { max_operations: 100 });
  const guests = await guestsOf(made, 4);
  const outcomes = await race(guests, 50);
  assert.equal([outcomes.length, accepted(outcomes)], [200, 100]);
  othersAre(outcomes, 403, 'exhausted');
  const { session_id } = session;
  assert.is(queuedBy(await server.events(session_id), guests).length, 100);
  // A 403 within one's session is a fact for those who read it, merged.
  const violations = async (): Promise<Event[]> =>
    (await server.call('GET', `${pathOf(session)}/events?types=security_violation`)).body.events;
  await eventually(
    'all of them are counted',
    async () => (await violations()).reduce((sum, { data }) => sum + (data['count'] as number), 0) === 100,
  );
  // Who comes later by the same share finds the same budget; the owner has another.
  const again = await race([...guests, await joinBy(made)], 4);
  assert.is(accepted(again), 0);
  othersAre(again, 403, 'exhausted');
  ok(await server.execute(session_id, { command: 'no-op' }), 202);
  ok(await server.execute(session_id, { command: 'no-op' }, 'respond-async', session.client_token), 202);
});

test('children of one parent cannot spend more than it together, nor more than each has', async () => {
  const session = await server.open();
  const parent = await share(session, { max_operations: 30, may_share: true });
  const holder = await joinBy(parent);
  const children = await Promise.all([
    share(session, { max_operations: 30 }, holder.client_token),
    share(session, { max_operations: 5 }, holder.client_token),
  ]);
  const guests = await Promise.all(children.map((child) => joinBy(child)));
  const everybody = [holder, ...guests];
  const outcomes = await race(everybody, 30);
  assert.is(accepted(outcomes), 30);
  othersAre(outcomes, 403, 'exhausted');
  const log = await server.events(session.session_id);
  assert.is(queuedBy(log, everybody).length, 30);
  assert.ok(queuedBy(log, [guests[1]]).length <= 5);
});

test('a child share that is made anew brings nothing back', async () => {
  const session = await server.open();
  const holder = await joinBy(await share(session, { max_operations: 6, may_share: true }));
  let spent = 0;
  for (const each of [4, 4, 4]) {
    const child = await share(session, { max_operations: 6 }, holder.client_token);
    const guest = await joinBy(child);
    spent += accepted(await race([guest], each));
    ok(await server.call('DELETE', `/v1/shares/${child.share_id}`, { token: holder.client_token }), 200);
    assert.is((await askHttp(guest, { command: 'no-op' })).status, 401);
  }
  assert.is(spent, 6);
});

/** How many executions of these clients were live at the same time, at most. */
const mostLive = (log: readonly Event[], clients: readonly Json[]): number => {
  const ids = new Set(queuedBy(log, clients).map(({ data }) => data['execution_id']));
  let [live, most] = [0, 0];
  for (const { type, data } of log) {
    if (!ids.has(data['execution_id'])) continue;
    if (type === 'execution_queued') most = Math.max(most, (live += 1));
    if (isTerminalEvent(type)) live -= 1;
  }
  return most;
};

test('at most so many at once, and a place that is free again is given once', async () => {
  const session = await server.open();
  const guests = await guestsOf(await share(session, { max_concurrent: 3 }), 3);
  const body = { command: 'slow', args: { ms: 250 } };
  let done = 0;
  for (let round = 1; round <= 3; round += 1) {
    const outcomes = await race(guests, 10, body);
    assert.is(accepted(outcomes), 3, `round ${round}`);
    othersAre(outcomes, 429, 'concurrent');
    for (const { status, retryAfter, headers } of outcomes) {
      if (status !== 429) continue;
      assert.is(retryAfter, 1);
      if (headers !== null) assert.is(headers.get('retry-after'), '1');
    }
    done += 3;
    await eventually(
      'their end',
      async () =>
        (await server.events(session.session_id)).filter(({ type }) => type === 'execution_completed').length === done,
    );
  }
  const log = await server.events(session.session_id);
  assert.is(mostLive(log, guests), 3);
  assert.not.ok(log.some(({ type }) => type === 'security_violation'));
});

/** RFC 9110, section 10.2.3, and draft-ietf-httpapi-ratelimit-headers. */
const saysWhen = ({ headers, retryAfter, limit }: Outcome, policy: string, quota: number): void => {
  assert.equal(limit, { policy, quota, window: 3_600 });
  assert.ok(retryAfter !== undefined && retryAfter > 0 && retryAfter <= 3_661, String(retryAfter));
  if (headers === null) return;
  assert.is(headers.get('retry-after'), String(retryAfter));
  assert.is(headers.get('ratelimit-policy'), `"${policy}";q=${quota};w=3600`);
  assert.is(headers.get('ratelimit'), `"${policy}";r=0;t=${retryAfter}`);
};

test('at most so many in an hour; a 429 says when to come back, and leaves no event', async () => {
  const session = await server.open();
  const parent = await share(session, { rate_limit: 20, may_share: true });
  const holder = await joinBy(parent);
  const child = await joinBy(await share(session, { rate_limit: 20 }, holder.client_token));
  const outcomes = await race([holder, child], 30);
  assert.is(accepted(outcomes), 20);
  othersAre(outcomes, 429, 'rate_limited');
  for (const outcome of outcomes) if (outcome.status === 429) saysWhen(outcome, 'capability', 20);
  const quiet = async (): Promise<number> =>
    (await server.events(session.session_id)).filter(({ type }) => !type.startsWith('client_')).length;
  await eventually(
    'the end of what was accepted',
    async () =>
      (await server.events(session.session_id)).filter(({ type }) => type === 'execution_completed').length === 20,
  );
  const before = await quiet();
  const again = await race([holder, child], 6);
  assert.is(accepted(again), 0);
  // Refusals that are events come a second late.
  await sleep(1_200);
  assert.is(await quiet(), before);
  assert.match((await server.call('GET', '/metrics')).text, /commands\.execute[^\n]*429/);
});

test('a principal’s limit holds across its sessions, keys and clients, and is nobody else’s', async () => {
  const keyOf = async (principal: string): Promise<string> =>
    ok(await server.call('POST', '/v1/keys', { body: { principal } }), 201).api_key;
  const open = async (token: string): Promise<Json> =>
    ok(await server.call('POST', '/v1/sessions', { token, body: { client: { type: 'cli' } } }), 201);
  const [key, second, other] = [await keyOf('carol'), await keyOf('carol'), await keyOf('dave')];
  const clients = [await open(key), await open(key), await open(second)];
  const outcomes = await race(clients, 10);
  assert.is(accepted(outcomes), PRINCIPAL_LIMIT);
  othersAre(outcomes, 429, 'principal');
  for (const outcome of outcomes) if (outcome.status === 429) saysWhen(outcome, 'principal', PRINCIPAL_LIMIT);
  // A new session, another client, another key: still the same principal.
  const fresh = await open(second);
  const more = ok(
    await server.call('POST', `${pathOf(fresh)}/clients`, { token: second, body: { client_type: 'cli' } }),
    201,
  );
  for (const client of [fresh, more]) assert.is((await askHttp(client, { command: 'no-op' })).reason, 'principal');
  // Another command, and another principal.
  assert.is((await askHttp(fresh, { command: 'slow', args: { ms: 1 } })).status, 202);
  assert.is((await askHttp(await open(other), { command: 'no-op' })).status, 202);
  const log = (await server.call('GET', `${pathOf(fresh)}/events`, { token: second })).body.events as Event[];
  assert.not.ok(log.some(({ type }) => type === 'security_violation'));
});

/** Requests one after the other in several lanes until the server is gone. */
const spend = async (clients: readonly Json[], body: object): Promise<{ accepted: string[]; refused: number }> => {
  const taken: string[] = [];
  let refused = 0;
  const lane = async (client: Json): Promise<void> => {
    for (;;) {
      try {
        const answer = await server.execute(client.session_id, body, 'respond-async', client.client_token);
        if (answer.status === 202) taken.push(answer.body.execution_id);
        else refused += 1;
      } catch {
        return;
      }
    }
  };
  await Promise.all(clients.map(lane));
  return { accepted: taken, refused };
};

test('budgets, windows and revocations outlive kill -9 in the middle of everything', async () => {
  process.stdout.write(`seed ${SEED} (ARBOR_BUDGET_SEED)\n`);
  const random = createRandom(SEED);
  const session = await server.open();
  const { session_id } = session;
  const [budget, rate, places, dead] = await Promise.all([
    share(session, { max_operations: 90 }),
    share(session, { rate_limit: 70 }),
    share(session, { max_concurrent: 2 }),
    share(session, {}),
  ]);
  const [spenders, hurried, crowded, [revoked]] = await Promise.all([
    guestsOf(budget, 2),
    guestsOf(rate, 2),
    guestsOf(places, 2),
    guestsOf(dead, 1),
  ]);
  ok(await server.call('DELETE', `/v1/shares/${dead.share_id}`), 200);
  const doomed = await Promise.all(Array.from({ length: 12 }, () => share(session)));
  const victims = await Promise.all(doomed.map((each) => joinBy(each)));

  const noOp = { command: 'no-op', timeout: 60 };
  const load = Promise.all([
    spend(spenders, noOp),
    spend(hurried, noOp),
    spend(crowded, { command: 'slow', args: { ms: 100 }, timeout: 60 }),
  ]);
  await eventually('it is under way', async () => queuedBy(await server.events(session_id), spenders).length > 10);
  // Some are answered, some are not, and the kill comes between.
  const ending = doomed.map(async ({ share_id }) => {
    await sleep(random() * 150);
    return (await server.call('DELETE', `/v1/shares/${share_id}`)).status === 200;
  });
  const ends = Promise.allSettled(ending);
  await sleep(30 + random() * 100);
  await server.kill();
  const [spentOn] = await within('end of the load', load, 60_000);
  const answered = (await ends).map((each) => each.status === 'fulfilled' && each.value);

  server = await space.serve({ config });
  const before = await server.events(session_id);
  const [spent, hurry] = [queuedBy(before, spenders).length, queuedBy(before, hurried).length];
  assert.ok(spent >= spentOn.accepted.length, 'what was answered is there');
  assert.ok(spent <= 90 && hurry <= 70, `${spent} and ${hurry}`);

  const [rest, more] = [await race(spenders, 60), await race(hurried, 50)];
  assert.is(spent + accepted(rest), 90, `${spent} were spent before`);
  othersAre(rest, 403, 'exhausted');
  assert.is(hurry + accepted(more), 70, `${hurry} were spent before`);
  othersAre(more, 429, 'rate_limited');
  for (const outcome of more) if (outcome.status === 429) saysWhen(outcome, 'capability', 70);

  const isDead = async (client: Json, { token }: Json): Promise<boolean> => {
    const { client_id, client_token } = client;
    const login = { clientId: client_id, username: client_id, password: client_token };
    const read = (await server.call('GET', pathOf(session), { token: client_token })).status;
    const tried = (await askHttp(client, noOp)).status;
    const [connack, joined] = [await connackOf(placeOf(server), login), (await tryJoin(token)).status];
    const all = [read === 401, tried === 401, connack === 5, joined === 401];
    assert.is(new Set(all).size, 1, `${[read, tried, connack, joined].join(' ')}: neither dead nor alive`);
    return all[0] === true;
  };
  assert.ok(await isDead(revoked, dead), 'what was revoked stays so');
  let alive = 0;
  for (const [index, victim] of victims.entries()) {
    const gone = await isDead(victim, doomed[index]);
    if (answered[index]) assert.ok(gone, 'a revocation that was answered holds');
    if (!gone) alive += 1;
  }
  process.stdout.write(
    `${spent} and ${hurry} spent, ${answered.filter(Boolean).length} of ${victims.length} revoked, ${alive} alive\n`,
  );

  // What ran when the process ended counts until it has ended, and its place comes back.
  const slow = { command: 'slow', args: { ms: 50 }, timeout: 60 };
  await eventually('the places are free', async () => {
    const log = await server.events(session_id);
    const own = new Set(queuedBy(log, crowded).map(({ data }) => data['execution_id']));
    return log.filter(({ type, data }) => isTerminalEvent(type) && own.has(data['execution_id'])).length === own.size;
  });
  assert.is(accepted(await race(crowded, 6, { ...slow, args: { ms: 1_000 } })), 2);
  assert.is(mostLive(await server.events(session_id), crowded), 2);
});

test('afterwards the server is well and has logged no fault', async () => {
  assert.not.match(server.stderr(), /"level":(50|60)/);
  assert.is((await server.call('GET', '/readyz', { token: null })).status, 200);
});

test.run();
