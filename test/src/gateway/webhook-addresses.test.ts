import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setDefaultCACertificates, getCACertificates } from 'node:tls';
import { Webhook } from 'standardwebhooks';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hasProgram } from '../../support/installed.ts';
import { type Received, startReceiver } from '../../support/webhook-receiver.ts';
import { secret, startSender } from '../../support/webhook-sender.ts';

const METADATA = 'http://169.254.169.254/latest/meta-data/iam';

/** A receiver that redirects to whatever its path is told. */
const startRedirecting = (status: number, location: () => string | undefined) =>
  startReceiver((_request, response) => {
    const to = location();
    response.writeHead(status, to === undefined ? {} : { location: to }).end();
  });

const refused = (reason: string, status: number | null) => ({ ok: false, status, reason, retryAfterMs: null }) as const;

const test = suite('addresses of webhooks');

test('connects to what was checked: a second answer of the name server does not matter', async () => {
  const outside = await startReceiver();
  const inside = await startReceiver(undefined, { host: '127.0.0.2', port: outside.port });
  let asked = 0;
  const addressesOf = (): string[] => [(asked += 1) === 1 ? '127.0.0.1' : '127.0.0.2'];
  const { send } = startSender({ addressesOf });
  const url = `http://flips.example:${outside.port}/`;
  assert.equal(await send({ url }), { ok: true, status: 204 });
  assert.equal([outside.received.length, inside.received.length, asked], [1, 0, 1]);
  assert.is(outside.received[0]?.headers.host, `flips.example:${outside.port}`);
  assert.equal(await send({ url }), refused('address_refused', null));
  assert.equal([outside.received.length, inside.received.length, asked], [1, 0, 2]);
  await Promise.all([outside.close(), inside.close()]);
});

test('of a name that leads inside and outside only what is outside is called', async () => {
  const inside = await startReceiver(undefined, { host: '127.0.0.2' });
  const { send } = startSender({ addressesOf: () => ['127.0.0.2', '127.0.0.1', '127.0.0.3'] });
  const result = await send({ url: `http://a.example:${inside.port}/` });
  assert.equal(result, refused('connection_failed (ECONNREFUSED)', null));
  assert.is(inside.received.length, 0);
  await inside.close();
});

test('a second address is tried where nobody listens at the first', async () => {
  const receiver = await startReceiver(undefined, { host: '127.0.0.2' });
  const { send } = startSender({ allow: ['127.0.0.0/30'], addressesOf: () => ['127.0.0.1', '127.0.0.2'] });
  assert.ok((await send({ url: `http://a.example:${receiver.port}/` })).ok);
  await receiver.close();
});

test('follows 307 and 308 with method, body and signature, relative ones too', async () => {
  for (const status of [307, 308]) {
    const last = await startReceiver();
    const first = await startRedirecting(status, () => `${last.url}/there`);
    const relative = await startReceiver((request, response) =>
      request.url === '/b/c' ? response.writeHead(201).end() : response.writeHead(status, { location: '../b/c' }).end(),
    );
    const { send } = startSender();
    assert.equal(await send({ url: first.url }), { ok: true, status: 204 });
    const { method, path, body, headers } = last.received[0] as Received;
    assert.equal([method, path], ['POST', '/there']);
    new Webhook(secret).verify(body, headers as Record<string, string>);
    assert.equal(await send({ url: `${relative.url}/a/x` }), { ok: true, status: 201 });
    await Promise.all([first.close(), last.close(), relative.close()]);
  }
});

test('no other redirect is followed', async () => {
  const last = await startReceiver();
  for (const status of [300, 301, 302, 303, 304, 305, 399]) {
    const first = await startRedirecting(status, () => last.url);
    assert.equal(await startSender().send({ url: first.url }), refused('redirect_refused', status));
    await first.close();
  }
  assert.is(last.received.length, 0);
  await last.close();
});

test('a redirect is checked like the address itself', async () => {
  const inside = await startReceiver(undefined, { host: '127.0.0.2' });
  const locations: [string | undefined, string][] = [
    [METADATA, 'address_refused'],
    [inside.url, 'address_refused'],
    ['http://[::ffff:a9fe:a9fe]/', 'address_refused'],
    ['http://2852039166/', 'address_refused'],
    [`http://named.example:${inside.port}/`, 'address_refused'],
    ['file:///etc/passwd', 'address_refused'],
    ['http://u:p@127.0.0.1/', 'address_refused'],
    ['http://', 'redirect_refused'],
    [undefined, 'redirect_refused'],
  ];
  let location: string | undefined;
  const first = await startRedirecting(307, () => location);
  const { send } = startSender({ addressesOf: () => ['127.0.0.2'] });
  for (const [to, reason] of locations) {
    location = to;
    assert.equal(await send({ url: first.url }), refused(reason, 307), to);
  }
  assert.is(inside.received.length, 0);
  await Promise.all([first.close(), inside.close()]);
});

test('a loop ends after so many redirects, and none are followed where none may be', async () => {
  const loop = await startRedirecting(307, () => '/again');
  assert.equal(await startSender().send({ url: loop.url }), refused('too_many_redirects', 307));
  assert.is(loop.received.length, 4);
  assert.equal(
    await startSender({ limits: { redirects: 0 } }).send({ url: loop.url }),
    refused('too_many_redirects', 307),
  );
  assert.is(loop.received.length, 5);
  await loop.close();
});

test('TLS: a certificate for the name is believed, no other, no redirect leads out, and plain HTTP is none', async () => {
  if (!hasProgram('TLS of webhooks', 'openssl', ['version'])) return;
  const directory = mkdtempSync(join(tmpdir(), 'arbor-tls-'));
  const [keyFile, certFile] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const words = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=a.example';
  const san = ['-addext', 'subjectAltName=DNS:a.example'];
  execFileSync('openssl', [...words.split(' '), ...san, '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' });
  const [key, cert] = [readFileSync(keyFile), readFileSync(certFile, 'utf8')];
  rmSync(directory, { recursive: true });

  const plain = await startReceiver();
  const server = createServer({ key, cert }, (request, response) => {
    request.resume();
    if (request.url === '/out') response.writeHead(307, { location: plain.url });
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { send } = startSender({ addressesOf: () => ['127.0.0.1'] });
  assert.equal(
    await send({ url: `https://a.example:${port}/` }),
    refused('connection_failed (DEPTH_ZERO_SELF_SIGNED_CERT)', null),
  );
  setDefaultCACertificates([...getCACertificates('default'), cert]);
  assert.equal(await send({ url: `https://a.example:${port}/` }), { ok: true, status: 200 });
  assert.equal(await send({ url: `https://a.example:${port}/out` }), refused('redirect_refused', 307));
  const misnamed = refused('connection_failed (ERR_TLS_CERT_ALTNAME_INVALID)', null);
  assert.equal(await send({ url: `https://b.example:${port}/` }), misnamed);
  assert.equal(await send({ url: `https://127.0.0.1:${port}/` }), misnamed);
  const toPlain = await send({ url: `https://a.example:${plain.port}/` });
  assert.match(toPlain.ok ? '' : toPlain.reason, /^connection_failed \(\w+\)$/);
  assert.is(plain.received.length, 0);
  server.close();
  server.closeAllConnections();
  await plain.close();
});

test.run();
