import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createRing } from '../../../actors/ring.ts';
import { createEmbeddedBroker } from '../../../brokers/embedded.ts';
import { createApiKey } from '../../../src/gateway/keys.ts';
import { createGateway } from '../../../src/gateway/gateway.ts';
import { createLog } from '../../../src/gateway/log.ts';
import { createMqttAccess } from '../../../src/gateway/mqtt-access.ts';
import { testCommands, type Json } from '../../support/gateway.ts';
import { instantAgents, temporaryDirectory } from '../../support/ring.ts';

const test = suite('gateway on the ring');

test('a command goes round, from HTTP to its durable result', async () => {
  const { directory, remove } = await temporaryDirectory();
  const access = createMqttAccess();
  const broker = await createEmbeddedBroker({ policy: access.policy });
  const ring = await createRing({ bus: broker, directory, workers: 1, agents: instantAgents });
  const { key, stored } = createApiKey({ principal: 'alice', operator: true, now: ring.now() });
  await ring.keys.put(stored);
  const gateway = await createGateway({
    system: ring,
    keys: ring.keys,
    commands: testCommands,
    dataDirectory: directory,
    http: { host: '127.0.0.1', port: 0 },
    mqtt: { access, server: broker, host: '127.0.0.1', port: 0 },
    log: createLog({ level: 'silent' }),
    version: '0.0.0',
  });
  try {
    const { http } = await gateway.listen();
    const call = async (method: string, path: string, token: string, body?: object): Promise<Json> => {
      const answer = await fetch(`http://${http.host}:${http.port}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}) },
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      return { http: answer.status, ...((await answer.json()) as object) };
    };
    const session = await call('POST', '/v1/sessions', key, { client: { type: 'cli' } });
    const token = session.client_token;
    const path = `/v1/sessions/${session.session_id}`;
    const done = await call('POST', `${path}/commands`, token, { command: 'help', idempotency_key: 'k' });
    assert.equal([done.http, done.status, done.result], [200, 'completed', { attempt: 1 }]);
    const again = await call('POST', `${path}/commands`, token, { command: 'help', idempotency_key: 'k' });
    assert.equal([again.http, again.execution_id, again.result], [200, done.execution_id, done.result]);
    const shown = await call('GET', `/v1/executions/${done.execution_id}`, token);
    assert.is(shown.status, 'completed');
    const { events } = await call('GET', `${path}/events`, token);
    assert.equal(
      events.map(({ seq }: Json) => seq),
      events.map((_: Json, index: number) => index + 1),
    );
    assert.ok(events.some(({ type }: Json) => type === 'execution_completed'));
    assert.is((await call('DELETE', path, key)).http, 200);
    assert.is((await call('GET', path, token)).http, 401);
    assert.is((await call('GET', path, key)).status, 'closed');
  } finally {
    await gateway.close(1_000);
    await ring.close(1_000);
    await broker.close();
    await remove();
  }
});

test.run();
