import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DEFAULT_GRANTS, type Grant } from '../../../machines/capability.ts';
import { problem } from '../../../machines/error.ts';
import type { Envelope } from '../../../machines/message.ts';
import { startGateway, type Json } from '../../support/gateway.ts';

const test = suite('commands at the gateway');

test('the ring is told whether anybody waits', async () => {
  const on = await startGateway();
  try {
    const { session_id } = await on.open();
    const asked: Json[] = [];
    Object.assign(on.system, {
      ask: async ({ message }: Envelope) => {
        asked.push(message);
        return { ok: false, problem: problem('conflict', 'only asked') };
      },
    });
    for (const [command, prefer, unattended] of [
      ['work', undefined, true],
      ['work', 'respond-async', true],
      ['work', 'wait=1', false],
      ['help', undefined, false],
      ['help', 'respond-async', true],
      ['help', 'wait=0', true],
    ] as const) {
      const headers = prefer === undefined ? {} : { prefer };
      await on.call('POST', `/v1/sessions/${session_id}/commands`, { body: { command }, headers });
      assert.is(asked.at(-1).unattended, unattended, `${command} ${prefer}`);
    }
  } finally {
    await on.close();
  }
});

test('a command of a higher risk than the capability allows is neither listed nor run', async () => {
  const low: Grant = { ...(DEFAULT_GRANTS.cli[0] as Grant), constraints: { max_risk: 'low' } };
  const on = await startGateway({ grants: { ...DEFAULT_GRANTS, cli: [low] } });
  try {
    const { session_id, client_token: token } = await on.open();
    const path = `/v1/sessions/${session_id}/commands`;
    const listed = await on.call('GET', path, { token });
    assert.equal(
      listed.body.items.map(({ name }: Json) => name),
      ['help'],
    );
    const refused = await on.call('POST', path, { token, body: { command: 'work' } });
    assert.equal([refused.status, refused.body.reason], [403, 'risk']);
    assert.is((await on.call('POST', path, { token, body: { command: 'help', wait: 0 } })).status, 202);
  } finally {
    await on.close();
  }
});

test.run();
