import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StoreFailedError } from '../../../actors/journal.ts';
import { newWebhookSecret, openSecretBox } from '../../../src/gateway/secret-box.ts';

const base = mkdtempSync(join(tmpdir(), 'arbor-box-'));
let number = 0;
const place = (): string => join(base, String((number += 1)));

const test = suite('secret box');
test.after(() => rmSync(base, { recursive: true, force: true }));

test('makes its key once, for its owner alone, and opens after a restart what it sealed before', () => {
  const directory = place();
  const sealed = openSecretBox(directory).seal('whsec_x');
  assert.equal(readdirSync(directory), ['webhooks.key']);
  assert.is(statSync(join(directory, 'webhooks.key')).mode & 0o777, 0o600);
  const key = readFileSync(join(directory, 'webhooks.key'), 'utf8');
  assert.is(openSecretBox(directory).open(sealed), 'whsec_x');
  assert.is(readFileSync(join(directory, 'webhooks.key'), 'utf8'), key);
});

test('opens every text that it seals, shows nothing of it, and never seals alike', () => {
  const box = openSecretBox(place());
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 8 }), (secret) => {
      const sealed = box.seal(secret);
      assert.is(box.open(sealed), secret.toWellFormed());
      assert.not.ok(sealed.includes(secret));
      assert.not.ok(Buffer.from(sealed.slice(sealed.indexOf('.') + 1), 'base64url').includes(secret));
      assert.is.not(box.seal(secret), sealed);
    }),
    { numRuns: 50 },
  );
});

const failure = (work: () => unknown): Error => {
  try {
    work();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('nothing failed');
};

test('refuses what was changed anywhere, cut, or sealed under another key, and quotes none of it', () => {
  const box = openSecretBox(place());
  const secret = newWebhookSecret();
  const sealed = box.seal(secret);
  const bytes = Buffer.from(sealed.slice(8), 'base64url');
  const changed = [...bytes.keys()].map((at) => {
    const copy = Buffer.from(bytes);
    copy[at] = (copy[at] as number) ^ 1;
    return `sealed1.${copy.toString('base64url')}`;
  });
  const others = [
    secret,
    '',
    'sealed1.',
    sealed.slice(0, -4),
    sealed.slice(0, 20),
    openSecretBox(place()).seal(secret),
  ];
  for (const text of [...changed, ...others]) {
    const { message } = failure(() => box.open(text));
    assert.not.ok(message.includes(secret.slice(6)));
    if (text.length > 10) assert.not.ok(message.includes(text.slice(8, 18)), message);
  }
});

test('a file that holds no key is named, and left as it is', () => {
  const directory = place();
  openSecretBox(directory);
  const file = join(directory, 'webhooks.key');
  for (const text of ['', 'x', '0'.repeat(63), `${'0'.repeat(64)}0`]) {
    writeFileSync(file, text);
    const error = failure(() => openSecretBox(directory));
    assert.instance(error, StoreFailedError);
    assert.match(error.message, file);
    assert.is(readFileSync(file, 'utf8'), text);
  }
});

test('a new secret is 32 random bytes as Standard Webhooks writes them', () => {
  const secret = newWebhookSecret();
  assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
  assert.is.not(newWebhookSecret(), secret);
});

test.run();
