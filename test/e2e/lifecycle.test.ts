// limit: 240 s
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { requestsTopic } from '../../machines/topic.ts';
import { CONNECT, dialTcp, publish } from '../support/mqtt-wire.ts';
import { createWorkspace, eventually, type Arbor, type Workspace } from '../support/server.ts';
import { watchSse } from './witness.ts';

/** How a server starts, refuses to, and ends (contract, section 11). */
const test = suite('lifecycle');

const FREE = '127.0.0.1:0';

/** Runs `arbor serve` on free ports with other flags; the last of a kind counts. */
const serve = (space: Workspace, flags: Readonly<Record<string, string>> = {}): Arbor => {
  const all = { '--data': join(space.directory, 'data'), '--http': FREE, '--mqtt': FREE, ...flags };
  return space.arbor(['serve', ...Object.entries(all).flat()]);
};

/** Asserts that it ended with 1, never was ready, and said one line for people. */
const assertRefused = async (process: Arbor, line: RegExp): Promise<void> => {
  const { code, stdout, stderr } = await process.ended();
  const said = stderr.split('\n').filter((each) => each !== '' && !each.startsWith('{'));
  assert.equal([code, stdout, said.length], [1, '', 1], stderr);
  assert.match(said[0] as string, line);
};

test('the ready line, readiness, and the credentials with mode 0600', async () => {
  await using space = createWorkspace();
  const server = await space.serve();
  assert.match(
    server.stdout(),
    /^arbor is ready: http:\/\/127\.0\.0\.1:\d+ and mqtt:\/\/127\.0\.0\.1:\d+; in a second terminal: npx arbor --url \S+ run analyze \.\n$/,
  );
  assert.is((await server.call('GET', '/readyz', { token: null })).status, 200);
  assert.is((await server.call('GET', '/healthz', { token: null })).status, 200);
  assert.match((await server.call('GET', '/metrics', { token: null })).text, /^# HELP /m);
  assert.match((await server.call('GET', '/openapi.json', { token: null })).body.openapi, /^3\.1/);
  const file = join(server.data, 'credentials.json');
  assert.is(statSync(file).mode & 0o777, 0o600);
  assert.is(statSync(server.data).mode & 0o777, 0o700);
  const first = readFileSync(file, 'utf8');
  assert.equal(Object.keys(JSON.parse(first)).toSorted(), ['api_key', 'principal']);
  await server.open();
  assert.is(await server.stop(), 0);
  assert.is(server.stdout().split('\n').length, 2, 'nothing but the ready line');
  // The next start keeps the credentials.
  const again = await space.serve();
  assert.is(readFileSync(file, 'utf8'), first);
  assert.is((await again.call('GET', '/v1/sessions')).body.items.length, 1);
});

test('a taken port: one line that names the flag, and 1', async () => {
  await using space = createWorkspace();
  const taken = createServer().listen(0, '127.0.0.1');
  try {
    await once(taken, 'listening');
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    await assertRefused(serve(space, { '--http': address }), /^arbor: --http: .*(in use|taken|EADDRINUSE)/);
    await assertRefused(serve(space, { '--mqtt': address }), /^arbor: --mqtt: .*(in use|taken|EADDRINUSE)/);
    await assertRefused(serve(space, { '--http': '192.0.2.1:0' }), /^arbor: --http: /);
  } finally {
    taken.close();
  }
  assert.is(await (await space.serve()).stop(), 0);
});

test('a wrong flag: one line that names it', async () => {
  await using space = createWorkspace();
  await assertRefused(serve(space, { '--http': 'nonsense' }), /^arbor: --http: expected HOST:PORT/);
  await assertRefused(serve(space, { '--mqtt': '127.0.0.1:99999' }), /^arbor: --mqtt: expected HOST:PORT/);
  await assertRefused(serve(space, { '--config': 'missing.mjs' }), /^arbor: .*missing\.mjs/);
  const unknown = await space.arbor(['serve', '--nonsense']).ended();
  assert.is(unknown.code, 2);
  assert.match(unknown.stderr, /^arbor: .*--nonsense/);
});

test('a data directory that cannot be written: one line that names the flag', async () => {
  await using space = createWorkspace();
  const file = space.write('file', 'in the way');
  await assertRefused(serve(space, { '--data': file }), /^arbor: --data: /);
  await assertRefused(serve(space, { '--data': join(file, 'below') }), /^arbor: --data: /);
  await assertRefused(serve(space, { '--data': '/sys/arbor' }), /^arbor: --data: /);
});

test('a wrong configuration: one line that names the field', async () => {
  await using space = createWorkspace();
  const config = (text: string): Arbor => serve(space, { '--config': space.write('wrong.config.mjs', text) });
  const wrong: readonly (readonly [text: string, line: RegExp])[] = [
    ["export default { limits: { drain: 'soon' } };", /^arbor: .*limits\.drain/],
    ['export default { limit: {} };', /^arbor: .*limit\b.*is no field/],
    ['export default { agents: { threads: 0 } };', /^arbor: .*agents\.threads/],
    ["export default { roots: ['/does/not/exist'] };", /^arbor: .*roots/],
    ["export default { commands: ['./nothing.ts'] };", /^arbor: .*commands/],
    ['export default 7;', /^arbor: .*wrong\.config\.mjs/],
    ['export default {', /^arbor: .*wrong\.config\.mjs/],
    ["throw new Error('not today');", /^arbor: .*wrong\.config\.mjs.*not today/],
  ];
  for (const [text, line] of wrong) await assertRefused(config(text), line);
  space.write('no-command.mjs', 'export default { name: 7 };');
  await assertRefused(config("export default { commands: ['./no-command.mjs'] };"), /^arbor: .*no-command\.mjs/);
  space.write('broken.mjs', "throw new Error('broken module');");
  await assertRefused(config("export default { commands: ['./broken.mjs'] };"), /^arbor: .*broken\.mjs/);
});

test('a second server on the same data directory is refused, and the first goes on', async () => {
  await using space = createWorkspace();
  const first = await space.serve();
  await assertRefused(serve(space), /^arbor: --data: /);
  const { session_id } = await first.open();
  assert.is((await first.execute(session_id, { command: 'help' }, 'wait=30')).status, 200);
  // The lock goes with its process, however that ends.
  await first.kill();
  const next = await space.serve();
  assert.is((await next.call('GET', `/v1/sessions/${session_id}`)).status, 200);
});

test('SIGTERM: what runs may end, streams are closed, and 0', async () => {
  await using space = createWorkspace();
  const config = space.config({ commands: ['slow'], limits: { drain: 30 } });
  const server = await space.serve({ config });
  const { session_id } = await server.open();
  const stream = await watchSse(server, session_id, server.key);
  const { execution_id } = (await server.execute(session_id, { command: 'slow', args: { ms: 1_500 } })).body;
  await eventually('the start', () => stream.seen.some(({ type }) => type === 'execution_started'));
  assert.is(await server.stop(), 0);
  await stream.over;
  const next = await space.serve({ config });
  const { body } = await next.call('GET', `/v1/executions/${execution_id}`);
  assert.equal([body.status, body.attempts], ['completed', 1]);
});

test('SIGTERM: what does not end within the drain is left for the next start', async () => {
  await using space = createWorkspace();
  const config = space.config({ commands: ['spin', 'no-op'], limits: { drain: 1 }, agents: { threads: 2 } });
  const server = await space.serve({ config });
  const { session_id } = await server.open();
  const { execution_id } = (await server.execute(session_id, { command: 'spin', timeout: 600 })).body;
  await eventually(
    'the start',
    async () => (await server.call('GET', `/v1/executions/${execution_id}`)).body.status === 'running',
  );
  assert.is(await server.stop(), 0);
  const next = await space.serve({ config });
  const { body } = await next.call('GET', `/v1/executions/${execution_id}`);
  assert.ok(['queued', 'running', 'retrying'].includes(body.status), body.status);
  assert.is((await next.call('DELETE', `/v1/executions/${execution_id}`)).status, 200);
  const ended = await next.call('GET', `/v1/executions/${execution_id}?wait=30`);
  assert.is(ended.body.status, 'cancelled');
});

test('SIGTERM before it is ready, and SIGINT: an end as well', async () => {
  await using space = createWorkspace();
  const early = serve(space);
  await eventually('the start', () => readdirSync(space.directory).includes('data'));
  early.child.kill('SIGTERM');
  assert.is((await early.ended()).code, 0);
  const server = await space.serve();
  server.child.kill('SIGINT');
  assert.is((await server.ended()).code, 0);
});

/** All that a server has written, by file. */
const written = (directory: string): Map<string, string> =>
  new Map(
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path, readFileSync(path, 'latin1')]),
  );

test('no key and no token is in the log, whatever its level, or in the data directory', async () => {
  await using space = createWorkspace();
  const config = space.config({ commands: ['no-op', 'crash'], log: { level: 'trace' } });
  const server = await space.serve({ config });
  const own = await server.open();
  const { session_id, client_id, client_token } = own;
  const second = (
    await server.call('POST', `/v1/sessions/${session_id}/clients`, { body: { client: { type: 'web' } } })
  ).body;
  const wrong = `${client_token.slice(0, -6)}PLANTS`;
  const secrets = [server.key, client_token, second.client_token, wrong].map((secret: string) =>
    secret.slice(secret.indexOf('.') + 1),
  );

  for (const token of [client_token, wrong, server.key]) {
    await server.execute(session_id, { command: 'no-op' }, 'wait=30', token);
    await server.execute(session_id, { command: 'nothing' }, 'wait=1', token);
    await server.call('GET', `/v1/sessions/${token}`, { token });
    await server.call('GET', `/v1/sessions?token=${token}`, { token });
    await server.call('GET', `/nowhere/${token}?token=${token}`, { token });
    await server.call('POST', `/v1/sessions/${session_id}/commands`, { token, body: `{"token":"${token}"` });
    await server.call('POST', `/v1/sessions/${session_id}/commands`, { token, body: { command: 'no-op', [token]: 1 } });
    await server.call('GET', '/v1/sessions', {
      token: null,
      headers: { authorization: `Basic ${token}`, cookie: token },
    });
    for (const fields of [
      { password: token },
      { username: token, password: token },
      { clientId: token, password: token },
    ]) {
      const client = await dialTcp(server.mqttPort);
      client.send({ ...CONNECT, clientId: client_id, username: client_id, ...fields });
      const { returnCode } = await client.expect('connack');
      if (returnCode === 0)
        client.send(publish(requestsTopic(session_id, client_id), JSON.stringify({ id: token, method: token })));
      if (returnCode === 0) client.send(publish(token, token));
      await client.closed();
    }
  }
  await server.execute(session_id, { command: 'crash', args: { how: 'throw' } }, 'wait=30');
  assert.is((await server.call('DELETE', `/v1/sessions/${session_id}/clients/${second.client_id}`)).status, 200);
  assert.is(await server.stop(), 0);

  const log = server.stderr();
  assert.ok(log.split('\n').length > 20, 'it did write a log');
  assert.match(log, /"status":401/);
  for (const secret of secrets) assert.not.ok(log.includes(secret), 'a secret is in the log');
  for (const [path, text] of written(server.data))
    for (const secret of path.endsWith('credentials.json') ? [] : secrets)
      assert.not.ok(text.includes(secret), `a secret is in ${path}`);
});

test.run();
