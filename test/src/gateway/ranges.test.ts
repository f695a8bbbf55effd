import { mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha256 } from '../../../src/gateway/secrets.ts';
import { eventually, startGateway, type TestAnswer, type TestGateway } from '../../support/gateway.ts';

/** `artifacts.get` in parts (RFC 9110, sections 13 and 14). */
const test = suite('ranges of artifacts');

const on: TestGateway = await startGateway({ limits: { stalledMs: 200 } });
test.after(() => on.close());
const { session_id, client_token: token } = await on.open();

/** An execution that has ended with a file. */
const fileOf = async (
  content: string,
  mediaType = 'text/html',
): Promise<{ path: string; tag: string; file: string }> => {
  const accepted = await on.call('POST', `/v1/sessions/${session_id}/commands`, { token, body: { command: 'work' } });
  const id = accepted.body.execution_id;
  const info = { name: 'export', bytes: content.length, sha256: sha256(content), media_type: mediaType };
  on.system.report(id, { type: 'execution.complete', start: 1, result: null, artifacts: [info] });
  const folder = join(on.directory, 'artifacts', id);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'export'), content);
  const path = `/v1/executions/${id}/artifacts/export`;
  return { path, tag: `"${info.sha256}"`, file: join(folder, 'export') };
};
const get = (path: string, headers: Record<string, string>, method = 'GET'): Promise<TestAnswer> =>
  on.call(method, path, { token, headers });

const isOpen = (file: string): boolean =>
  readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === file;
    } catch {
      return false;
    }
  });

const CONTENT = Array.from({ length: 100 }, (_, n) => String.fromCharCode(48 + (n % 64))).join('');
const { path, tag, file } = await fileOf(CONTENT);

test('any one range is answered with its bytes, its place and the tag of the whole', async () => {
  const position = fc.nat({ max: 120 });
  const ranges = fc.oneof(
    fc
      .tuple(position, fc.nat({ max: 60 }))
      .map(([from, more]) => [`${from}-${from + more}`, from, from + more] as const),
    position.map((from) => [`${from}-`, from, Infinity] as const),
    fc.integer({ min: 1, max: 120 }).map((last) => [`-${last}`, Math.max(0, 100 - last), Infinity] as const),
  );
  await fc.assert(
    fc.asyncProperty(ranges, async ([range, from, to]) => {
      const answer = await get(path, { range: `bytes=${range}` });
      if (from >= 100) {
        assert.is(answer.status, 416);
        assert.is(answer.body.code, 'range_not_satisfiable');
        assert.is(answer.headers.get('content-range'), 'bytes */100');
        return;
      }
      const wanted = CONTENT.slice(from, Math.min(to, 99) + 1);
      assert.is(answer.status, 206);
      assert.is(answer.text, wanted);
      assert.is(answer.headers.get('content-range'), `bytes ${from}-${Math.min(to, 99)}/100`);
      assert.is(answer.headers.get('content-length'), String(wanted.length));
      assert.is(answer.headers.get('etag'), tag);
    }),
    { numRuns: 60 },
  );
});

test('what is no single range of this content is answered with the whole', async () => {
  const whole: Record<string, string>[] = [
    { range: 'bytes=0-1,5-6' },
    { range: 'lines=0-1' },
    { range: 'nonsense' },
    { range: 'bytes=9-3' },
    { range: 'bytes=-' },
    { range: 'bytes=0-9', 'if-range': '"other"' },
    { range: 'bytes=0-9', 'if-range': `W/${tag}` },
    { range: 'bytes=0-9', 'if-range': 'Thu, 01 Jan 2026 00:00:00 GMT' },
  ];
  for (const headers of whole) {
    const answer = await get(path, headers);
    assert.equal([answer.status, answer.text], [200, CONTENT], JSON.stringify(headers));
    assert.is(answer.headers.get('accept-ranges'), 'bytes');
  }
  const same = await get(path, { range: 'bytes=0-9', 'if-range': tag });
  assert.equal([same.status, same.text], [206, CONTENT.slice(0, 10)]);
});

test('whoever has it already is told so, whatever range is named; caches that are shared do not keep it', async () => {
  for (const known of [tag, `W/${tag}`, `"other", W/${tag}`, `"other",${tag}`, '*']) {
    const answer = await get(path, { range: 'bytes=0-9', 'if-none-match': known });
    assert.equal([answer.status, answer.text], [304, ''], known);
  }
  for (const other of ['"other"', tag.slice(1, -1), 'W/*']) {
    const answer = await get(path, { 'if-none-match': other });
    assert.equal([answer.status, answer.text], [200, CONTENT], other);
    assert.is(answer.headers.get('cache-control'), 'private, no-cache');
  }
});

test('what is no media type is not sent as one', async () => {
  const types = {
    'text/csv; charset=utf-8': 'text/csv; charset=utf-8',
    html: 'application/octet-stream',
    'text/é': 'application/octet-stream',
  };
  for (const [mediaType, type] of Object.entries(types)) {
    const said = await fileOf('a', mediaType);
    assert.is((await get(said.path, {})).headers.get('content-type'), type);
  }
});

test('HEAD tells of the whole, whatever range it names', async () => {
  const head = await get(path, { range: 'bytes=0-9' }, 'HEAD');
  assert.equal([head.status, head.headers.get('content-length'), head.text], [200, '100', '']);
  assert.is(head.headers.get('accept-ranges'), 'bytes');
  assert.match(head.headers.get('content-disposition') ?? '', /^attachment/);
  assert.is(head.headers.get('x-content-type-options'), 'nosniff');
  await eventually('the file is closed', () => !isOpen(file));
});

test('an empty file has no range, and is answered empty', async () => {
  const empty = await fileOf('');
  assert.equal([(await get(empty.path, {})).status, (await get(empty.path, {})).text], [200, '']);
  assert.is((await get(empty.path, { range: 'bytes=0-' })).status, 416);
  await eventually('the file is closed', () => !isOpen(empty.file));
});

test('once retention has removed the file it is 404, whole and in parts', async () => {
  const gone = await fileOf('gone');
  rmSync(gone.file);
  for (const headers of [{}, { range: 'bytes=0-1' }]) {
    const answer = await get(gone.path, headers as Record<string, string>);
    assert.equal([answer.status, answer.body.code], [404, 'not_found']);
    assert.is(answer.headers.get('etag'), null);
  }
});

test('a reader who takes nothing is cut off, and the file is closed', async () => {
  const size = 32 * 1024 * 1024;
  const large = await fileOf('x'.repeat(size));
  const { hostname, port } = new URL(on.url);
  const socket = connect(Number(port), hostname);
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => undefined);
  let got = 0;
  socket.on('data', (chunk) => (got += chunk.length)).pause();
  socket.write(`GET ${large.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`);
  await eventually('it is under way', () => isOpen(large.file));
  await eventually('it is cut off', () => !isOpen(large.file));
  socket.resume();
  await closed;
  assert.ok(got < size, `${got} bytes came`);
});

test.run();
