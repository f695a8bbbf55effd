import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ConnectFacts, Connection } from '../../../brokers/access.ts';
import { createMqttAccess, type MqttAccessParts, type MqttTag } from '../../../src/gateway/mqtt-access.ts';
import type { Identity } from '../../../src/gateway/principals.ts';
import { capabilityOf } from '../../support/capabilities.ts';
import {
  base,
  clientBase,
  FELLOW,
  filters,
  FOREIGN,
  isDelivered,
  isRight,
  matching,
  ME,
  OWN,
  STRANGER,
  TOPICS,
  word,
} from './filters/topics.ts';

/** What a filter may match (contract, section 3), as the policy of access decides it. */
const test = suite('filters');

/** A filter within such a row: no wildcard may stand where the row has a word of its own. */
const isWithin = (filter: string, reads = true): boolean => {
  const levels = filter.split('/');
  if (levels.slice(0, 5).some((level) => level === '+' || level === '#')) return false;
  if (levels.length > 5 && filter.startsWith(`${base(OWN)}/events/`)) return reads;
  return !filter.includes('+') && !filter.includes('#') && isRight(filter, reads);
};

const identityOf = (client_id: string, session_id: string, reads = true): Identity => ({
  kind: 'client',
  principal: `share:${client_id}`,
  client: {
    client_id: client_id as never,
    session_id: session_id as never,
    principal: `share:${client_id}`,
    type: 'web',
    token_hash: '',
    capabilities: [capabilityOf({ operations: reads ? ['read'] : ['write'] })],
  },
});

const IDENTITIES: Readonly<Record<string, Identity>> = {
  me: identityOf(ME, OWN),
  writer: identityOf(ME, OWN, false),
  fellow: identityOf(FELLOW, OWN),
  stranger: identityOf(STRANGER, FOREIGN),
  operator: { kind: 'key', principal: 'root', operator: true, key_id: 'ark_1' },
  key: { kind: 'key', principal: 'ada', operator: false, key_id: 'ark_2' },
};

/** The policy with nobody behind it: whoever says the name of an identity is that. */
const policyOf = (wasCut = false) => {
  const access = createMqttAccess();
  const noted: string[] = [];
  const refused: string[] = [];
  access.bind({
    principals: {
      authenticate: async (text) => IDENTITIES[text] ?? null,
      isKnown: () => false,
      isCurrent: async () => true,
    },
    failedLogins: { add: () => {}, blockedFor: () => 0 },
    live: { initial: async () => [], take: () => {}, close: () => {} },
    rpc: { take: () => {} },
    facts: { knownClient: () => undefined, barred: () => undefined },
    cuts: { wasCut: () => wasCut },
    now: () => 0,
    onFailedLogin: () => {},
    onOperatorSubscribe: async (_, filter) => void noted.push(filter),
    onRefused: (_, operation) => void refused.push(operation),
    signalOf: () => new AbortController().signal,
    connected: () => {},
    disconnected: () => {},
  } satisfies MqttAccessParts);
  return { policy: access.policy, noted, refused };
};

const facts = (more: Partial<ConnectFacts> & { readonly password: Buffer }): ConnectFacts => ({
  clientId: 'x',
  username: undefined,
  will: undefined,
  remote: '::1',
  ...more,
});

const { policy, noted } = policyOf();

const login = async (
  as: string,
  clientId: string,
  username: string,
  on = policy,
): Promise<Connection<MqttTag> | null> => {
  const verdict = await on.connect(facts({ clientId, username, password: Buffer.from(as) }));
  return verdict.ok ? { clientId, username, remote: '::1', tag: verdict.tag } : null;
};
const connectionOf = async (...as: Parameters<typeof login>): Promise<Connection<MqttTag>> =>
  (await login(...as)) as Connection<MqttTag>;

for (const [who, reads] of [
  ['me', true],
  ['writer', false],
] as const)
  test(`a filter of ${reads ? 'one who may read' : 'one who may not'} is granted exactly where its row covers it`, async () => {
    const connection = await connectionOf(who, ME, ME);
    let granted = 0;
    fc.assert(
      fc.property(
        filters.chain((filter) =>
          fc.record({ filter: fc.constant(filter), topics: fc.array(matching(filter), { maxLength: 4 }) }),
        ),
        ({ filter, topics }) => {
          const isGranted = policy.subscribe(connection, filter) === true;
          assert.is(isGranted, isWithin(filter, reads), filter);
          if (isGranted) granted += 1;
          for (const topic of topics) {
            if (isGranted) assert.ok(isRight(topic, reads), `${filter} matches ${topic}`);
            assert.is(policy.deliver(connection, topic), isDelivered(topic, reads), topic);
          }
        },
      ),
      { numRuns: 20_000 },
    );
    assert.ok(granted > (reads ? 500 : 50), `only ${granted} were granted`);
  });

test('every topic there is goes to those alone that its row names', async () => {
  const connections = await Promise.all([
    connectionOf('me', `${ME}:1`, ME),
    connectionOf('fellow', FELLOW, FELLOW),
    connectionOf('stranger', STRANGER, STRANGER),
  ]);
  for (const topic of TOPICS) {
    const to = connections.filter((connection) => policy.deliver(connection, topic)).map(({ username }) => username);
    const [, , , session, kind, client, leaf] = topic.split('/');
    const isEvent = topic.startsWith('arbor/v1/sessions/') && kind === 'events' && leaf !== undefined;
    const inSession = session === OWN ? [ME, FELLOW] : [STRANGER];
    const isKnown = session === OWN || session === FOREIGN;
    const expected =
      leaf === 'can' || leaf === 'replies' ? [client] : isKnown && (isEvent || kind === 'state') ? inSession : [];
    assert.equal(to, topic.startsWith('arbor/v1/sessions/') ? expected : [], topic);
  }
});

test('an operator’s filter lies within inboxes or inspection, and is noted before it is granted', async () => {
  const connection = await connectionOf('operator', 'op:1', 'root');
  await fc.assert(
    fc.asyncProperty(filters, async (filter) => {
      const before = noted.length;
      const verdict = await policy.subscribe(connection, filter);
      const [root, version, kind, more] = filter.split('/');
      const isInside = root === 'arbor' && version === 'v1' && (kind === 'actors' || kind === 'inspect');
      const isGranted = isInside && more !== undefined;
      // `…/actors/#` matches `…/actors` as well, on which nobody publishes.
      assert.is(verdict, isGranted || (isInside && filter.split('/').length === 3), filter);
      assert.is(noted.length - before, verdict ? 1 : 0);
    }),
    { numRuns: 5_000 },
  );
  for (const topic of TOPICS)
    assert.is(policy.deliver(connection, topic), /^arbor\/v1\/(actors|inspect)\//.test(topic), topic);
});

test('an operator whose key was revoked a moment ago hears nothing more', async () => {
  const cut = policyOf(true);
  const connection = await connectionOf('operator', 'op:1', 'root', cut.policy);
  for (const topic of TOPICS) assert.is(cut.policy.deliver(connection, topic), false, topic);
  assert.is(await cut.policy.subscribe(connection, 'arbor/v1/actors/#'), false);
  assert.equal([cut.noted, cut.refused], [[], ['subscribe']]);
});

test('a client id is one’s own, alone or with a suffix, and so is the user name', async () => {
  const ids = [ME, FELLOW, STRANGER, 'root', 'ada', 'op:1', 'op:', 'op', ''];
  const suffix = fc.oneof(fc.constantFrom('', ':', ':1', ':a:b', 'x', '1', '/', ' ', `:${FELLOW}`), fc.string());
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.keys(IDENTITIES), 'nobody', ''),
      fc.constantFrom(...ids),
      suffix,
      fc.option(fc.constantFrom(...ids), { nil: null, freq: 2 }),
      async (as, id, more, other) => {
        // Mostly the same, or hardly anybody would get in.
        const username = other ?? (id.startsWith('op') ? 'root' : id);
        const clientId = id + more;
        const identity = IDENTITIES[as];
        const own = identity?.kind === 'client' ? (identity.client.client_id as string) : null;
        const isOwn =
          own === null
            ? as === 'operator' && username === 'root' && clientId.startsWith('op:')
            : username === own && (clientId === own || clientId.startsWith(`${own}:`));
        assert.is((await login(as, clientId, username)) !== null, isOwn, JSON.stringify([as, clientId, username]));
        if (isOwn) accepted += 1;
      },
    ),
    { numRuns: 20_000 },
  );
  assert.ok(accepted > 100, `only ${accepted} were accepted`);
});

test('nothing is published but requests of one’s own, and they are not retained', async () => {
  const connection = await connectionOf('me', ME, ME);
  const own = `${clientBase(OWN, ME)}/requests`;
  const topics = fc.oneof(
    fc.constantFrom(...TOPICS),
    fc.array(word, { minLength: 1, maxLength: 8 }).map((all) => all.join('/')),
  );
  fc.assert(
    fc.property(topics, fc.boolean(), fc.constantFrom(0 as const, 1 as const, 2 as const), (topic, retain, qos) => {
      const verdict = policy.publish(connection, { topic, retain, qos, payload: Buffer.alloc(0) });
      assert.is(verdict, topic === own && !retain ? 'allow' : 'disconnect', topic);
    }),
    { numRuns: 5_000 },
  );
});

test.run();
