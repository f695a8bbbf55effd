import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AuditEntry } from '../../../machines/audit.ts';
import { createApiKey } from '../../../src/gateway/keys.ts';
import { createLoginAudit } from '../../../src/gateway/login-audit.ts';
import { startGateway } from '../../support/gateway.ts';

const test = suite('logins in the audit');

const HOUR_MS = 3_600_000;

const bench = () => {
  const noted: AuditEntry[] = [];
  const merged: [AuditEntry, string][] = [];
  const errors: unknown[] = [];
  const state = { now: 0, fails: false };
  const audit = {
    note: async (entry: AuditEntry) => {
      noted.push(entry);
      if (state.fails) throw new Error('no space');
    },
    merge: (entry: AuditEntry, key: string) => void merged.push([entry, key]),
  };
  const logins = createLoginAudit({ audit, now: () => state.now, onError: (error) => void errors.push(error) });
  return { audit, logins, noted, merged, errors, state };
};

const { stored: key } = createApiKey({ principal: 'ada', operator: false, now: 0 });

test('the first use of a key from an address in an hour is recorded', () => {
  const { logins, noted, state } = bench();
  for (const address of ['::1', '::1', '10.0.0.1', '::1']) logins.keyUsed(key, address);
  const { stored: another } = createApiKey({ principal: 'bob', operator: false, now: 0 });
  logins.keyUsed(another, '::1');
  state.now = HOUR_MS - 1;
  logins.keyUsed(key, '::1');
  assert.is(noted.length, 3);
  state.now = HOUR_MS;
  logins.keyUsed(key, '::1');
  assert.is(noted.length, 4);
  assert.equal(noted[1], {
    type: 'key_used',
    at: 0,
    session_id: null,
    principal: 'ada',
    client_id: null,
    data: { key_id: key.id, address: '10.0.0.1' },
  });
  assert.not.match(JSON.stringify(noted), key.hash);
});

test('a use that could not be recorded is told of, and recorded with the next', async () => {
  const { logins, noted, errors, state } = bench();
  state.fails = true;
  logins.keyUsed(key, '::1');
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(errors.length, 1);
  state.fails = false;
  logins.keyUsed(key, '::1');
  assert.is(noted.length, 2);
});

test('failed logins are merged by address', () => {
  const { logins, merged } = bench();
  for (const address of ['::1', '::1', '10.0.0.1']) logins.loginFailed(address);
  assert.equal(
    merged.map(([{ type, data }]) => [type, data]),
    ['::1', '::1', '10.0.0.1'].map((address) => ['login_failed', { address }]),
  );
  assert.is(new Set(merged.map(([, by]) => by)).size, 2);
});

test('over HTTP as well: one use of a key, every failure', async () => {
  const { audit, noted, merged } = bench();
  const on = await startGateway({ audit: { ...audit, close: async () => {} } });
  try {
    for (let n = 0; n < 3; n++) await on.call('GET', '/v1/sessions');
    for (let n = 0; n < 2; n++) await on.call('GET', '/v1/sessions', { token: 'wrong' });
    assert.equal(
      noted.map(({ type, principal }) => [type, principal]),
      [['key_used', 'alice']],
    );
    assert.equal(
      merged.map(([{ type, data }]) => [type, data]),
      Array.from({ length: 2 }, () => ['login_failed', { address: '127.0.0.1' }]),
    );
  } finally {
    await on.close();
  }
});

test.run();
