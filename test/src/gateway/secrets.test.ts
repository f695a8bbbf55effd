import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { canonicalJson } from '../../../src/gateway/input.ts';
import { createApiKey, createClientToken, parseCredentials } from '../../../src/gateway/keys.ts';
import { createLog } from '../../../src/gateway/log.ts';
import { drawSecret, hashMatches, sha256 } from '../../../src/gateway/secrets.ts';
import { startGateway } from '../../support/gateway.ts';

const test = suite('secrets');

test('a secret has 256 random bits, and its hash knows it from all others', () => {
  const secret = drawSecret();
  assert.is(Buffer.from(secret, 'base64url').length, 32);
  assert.ok(hashMatches(sha256(secret), secret));
  assert.not.ok(hashMatches(sha256(secret), drawSecret()));
  assert.not.ok(hashMatches('', secret));
  assert.not.ok(hashMatches('zz', secret));
});

test('what is drawn is what is parsed', () => {
  const { key, stored } = createApiKey({ principal: 'p', operator: true, now: 5 });
  assert.match(key, /^ark_[0-9a-z]+\.[A-Za-z0-9_-]{43}$/);
  assert.equal(parseCredentials(key), { kind: 'key', id: stored.id, text: key });
  assert.not.ok(JSON.stringify(stored).includes(key.split('.')[1] as string));
  const { token, hash } = createClientToken('cli_01K0000000000000000000ABCD');
  assert.equal(parseCredentials(token), { kind: 'client', id: 'cli_01K0000000000000000000ABCD', text: token });
  assert.is(hash, sha256(token));
});

test('nothing else parses, whatever it is', () => {
  fc.assert(fc.property(fc.string(), (text) => assert.is(parseCredentials(text), null)));
  for (const text of [
    'ark_x.',
    'ark_.' + 'a'.repeat(43),
    'ark_x.' + 'a'.repeat(44),
    `whk_x.${'a'.repeat(43)}`,
    `ark_x.${'a'.repeat(43)}\n`,
  ])
    assert.is(parseCredentials(text), null, text);
});

test('canonical JSON does not depend on the order of keys, and tells different values apart', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
      const shuffled = JSON.parse(JSON.stringify(one), (_, value: unknown) =>
        typeof value === 'object' && value !== null && !Array.isArray(value)
          ? Object.fromEntries(Object.entries(value).toReversed())
          : value,
      );
      assert.is(canonicalJson(shuffled), canonicalJson(one));
      assert.equal(JSON.parse(canonicalJson(one)), JSON.parse(JSON.stringify(one)));
      if (canonicalJson(one) === canonicalJson(other))
        assert.equal(JSON.parse(JSON.stringify(one)), JSON.parse(JSON.stringify(other)));
    }),
  );
});

test('secrets are kept out of the log by name and by shape', () => {
  const lines: string[] = [];
  const log = createLog({ level: 'debug', destination: { write: (line) => void lines.push(line) } });
  const { key } = createApiKey({ principal: 'p', operator: false, now: 0 });
  const { token } = createClientToken('cli_01K0000000000000000000ABCD');
  log.info(
    { token: 'plain-1', headers: { authorization: 'plain-2' }, request: { body: { secret: 'plain-3' } } },
    'fields',
  );
  log.error({ err: new Error(`refused ${key}`) }, `message with ${token} and whsec_${'A'.repeat(32)}`);
  log.child({ note: token }).debug('child');
  const text = lines.join('');
  assert.is(lines.length, 3);
  for (const secret of ['plain-1', 'plain-2', 'plain-3', key.split('.')[1], token.split('.')[1], 'A'.repeat(32)])
    assert.not.ok(text.includes(secret as string), secret);
  assert.ok(text.includes('cli_01K0000000000000000000ABCD.[redacted]'), 'whose it was stays');
});

test('no secret that passes the gateway is in its log, its events or its errors', async () => {
  const on = await startGateway();
  try {
    const { session_id, client_token } = await on.open();
    const stray = createApiKey({ principal: 'x', operator: false, now: 0 }).key;
    const seen: string[] = [];
    const send = async (method: string, path: string, options: Parameters<typeof on.call>[2]) =>
      void seen.push((await on.call(method, path, options)).text);
    await send('GET', `/v1/sessions/${session_id}`, { token: client_token });
    await send('GET', '/v1/sessions', { token: stray });
    await send('GET', `/v1/sessions?key=${stray}`, {});
    await send('GET', `/nothing/${stray}`, {});
    await send('POST', '/v1/sessions', { token: client_token, body: { client_type: stray } });
    Object.assign(on.system.reads, { actor: () => Promise.reject(new Error(`lost ${client_token}`)) });
    await send('GET', `/v1/sessions/${session_id}`, { token: client_token });
    const events = (await on.call('GET', `/v1/sessions/${session_id}/events`)).text;
    const everything = on.lines.join('') + events + seen.join('');
    assert.ok(
      on.lines.some((line) => line.includes('lost cli_')),
      'the fault is in the log',
    );
    for (const secret of [client_token, stray, on.owner])
      assert.not.ok(everything.includes(secret.split('.')[1] as string));
  } finally {
    await on.close();
  }
});

test.run();
