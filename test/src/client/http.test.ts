import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ProblemError } from '../../../machines/error.ts';
import { createHttpClient } from '../../../src/client/http.ts';
import { operationNames } from '../../../src/operations/table.ts';
import { CLIENT, createFakeGateway, EXECUTION, SESSION, TOKEN, type FakeGateway } from './fake-gateway.ts';

const test = suite<{ gateway: FakeGateway }>('http client');

test.before.each(async (context) => {
  context.gateway = await createFakeGateway();
});
test.after.each(({ gateway }) => gateway.close());

/** What a call rejects with. */
const rejection = async (promise: Promise<unknown>): Promise<ProblemError> => {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, ProblemError);
    return error as ProblemError;
  }
  throw new Error('it was expected to reject');
};

test('has a method for every operation of the table and no other', ({ gateway }) => {
  const client = createHttpClient({ url: gateway.http, token: TOKEN });
  const names = Object.entries(client).flatMap(([noun, verbs]) =>
    typeof verbs === 'object' ? Object.keys(verbs as object).map((verb) => `${noun}.${verb}`) : [],
  );
  assert.equal(names.toSorted(), operationNames.toSorted());
});

test('sends every field where the binding wants it', async ({ gateway }) => {
  let seen: unknown;
  gateway.handlers = {
    'commands.execute': (input) => {
      seen = input;
      return { execution_id: EXECUTION, status: 'pending', mode: 'async', poll_url: '/' };
    },
  };
  const client = createHttpClient({ url: `${gateway.http}/`, token: TOKEN });
  const input = { session_id: SESSION, command: 'analyze', args: { path: 'a b' }, wait: 0, dry_run: true, priority: 3 };
  const answer = await client.commands.execute(input);
  assert.equal(seen, input);
  assert.equal(answer, { execution_id: EXECUTION, status: 'pending', mode: 'async', poll_url: '/' });
});

test('a refusal is a ProblemError with its fields', async ({ gateway }) => {
  const client = createHttpClient({ url: gateway.http, token: TOKEN });
  const { problem } = await rejection(client.sessions.get({ session_id: 'no id' }));
  assert.is(problem.code, 'invalid_input');
  assert.is(problem.status, 400);
  assert.is(problem.errors?.[0]?.field, 'session_id');
  assert.is(
    (await rejection(client.clients.leave({ session_id: SESSION, client_id: CLIENT }))).problem.code,
    'not_found',
  );
});

test('a wrong token is unauthenticated', async ({ gateway }) => {
  const client = createHttpClient({ url: gateway.http, token: 'another' });
  assert.is((await rejection(client.sessions.list())).problem.code, 'unauthenticated');
});

test('without a token no credentials are sent', async ({ gateway }) => {
  const seen: (string | undefined)[] = [];
  const client = createHttpClient({
    url: gateway.http,
    token: null,
    fetch: (url, init) => {
      seen.push(new Headers(init.headers).get('authorization') ?? undefined);
      return fetch(url, init);
    },
  });
  assert.is((await rejection(client.sessions.list())).problem.code, 'unauthenticated');
  assert.equal(seen, [undefined]);
});

test('the code of a newer server is kept', async ({ gateway }) => {
  gateway.handlers = {
    'sessions.list': () => {
      const error = new ProblemError('conflict', 'new');
      Object.assign(error.problem, { code: 'from_the_future', status: 409 });
      throw error;
    },
  };
  const error = await rejection(createHttpClient({ url: gateway.http, token: TOKEN }).sessions.list());
  assert.is(error.problem.code, 'from_the_future');
});

test('bytes come as bytes', async ({ gateway }) => {
  gateway.handlers = { 'artifacts.get': ({ name }) => new TextEncoder().encode(`<${name}>`) };
  const client = createHttpClient({ url: gateway.http, token: TOKEN });
  const bytes = await client.artifacts.get({ execution_id: EXECUTION, name: 'export' });
  assert.is(new TextDecoder().decode(bytes), '<export>');
});

test('nobody there is unavailable, with its cause', async () => {
  const gone = await createFakeGateway();
  await gone.close();
  const error = await rejection(createHttpClient({ url: gone.http, token: TOKEN }).sessions.list());
  assert.is(error.problem.code, 'unavailable');
  assert.match(error.message, gone.http);
  assert.ok(error.cause);
});

test('no answer is timed_out at the deadline, which counts what the call itself waits for', async ({ gateway }) => {
  gateway.handlers = {
    'sessions.list': () => new Promise(() => undefined),
    'executions.get': () => new Promise((resolve) => setTimeout(() => resolve({ status: 'running' }), 150)),
  };
  const client = createHttpClient({ url: gateway.http, token: TOKEN, timeoutMs: 50 });
  assert.is((await rejection(client.sessions.list())).problem.code, 'timed_out');
  assert.is((await client.executions.get({ execution_id: EXECUTION, wait: 30 })).status, 'running');
});

test('an answer that begins and does not end is timed_out as well', async () => {
  const server = createServer((_, response) => void response.writeHead(200).write('{'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const error = await rejection(createHttpClient({ url, token: TOKEN, timeoutMs: 50 }).sessions.list());
  assert.is(error.problem.code, 'timed_out');
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test('the caller can end a call', async ({ gateway }) => {
  gateway.handlers = { 'sessions.list': () => new Promise(() => undefined) };
  const controller = new AbortController();
  const why = new Error('enough');
  const call = createHttpClient({ url: gateway.http, token: TOKEN }).sessions.list({}, { signal: controller.signal });
  controller.abort(why);
  await call.then(
    () => assert.unreachable(),
    (error: unknown) => assert.is(error, why),
  );
});

test('what is no answer of a gateway is unavailable, and a redirect is not followed with the token', async () => {
  const tokens: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    tokens.push(request.headers.authorization);
    if (request.url === '/elsewhere') response.writeHead(200).end('{}');
    else if (request.url?.startsWith('/v1/sessions/')) response.writeHead(302, { location: '/elsewhere' }).end();
    else response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = createHttpClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, token: TOKEN });
  const error = await rejection(client.sessions.list());
  assert.is(error.problem.code, 'unavailable');
  assert.match(error.message, '502');
  assert.is((await rejection(client.sessions.get({ session_id: SESSION }))).problem.code, 'unavailable');
  assert.is(tokens.length, 2);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test.run();
