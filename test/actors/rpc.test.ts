import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import { createRpc, RpcError } from '../../actors/rpc.ts';
import { ProblemError } from '../../machines/error.ts';

const test = suite('rpc');

type Remote = {
  add(a: number, b: number): number;
  fail(how: 'problem' | 'code' | 'plain'): never;
  never(): Promise<never>;
  unclonable(): () => void;
};

const methods = {
  add: (a: number, b: number) => a + b,
  fail: (how: string) => {
    if (how === 'problem') throw new ProblemError('rate_limited', 'too fast', { more: { retry_after: 2 } });
    throw Object.assign(new Error('broken'), how === 'code' ? { code: 'ENOENT' } : {});
  },
  never: () => new Promise<never>(() => {}),
  unclonable: () => () => {},
};

const connect = (deadlineMs?: number) => {
  const { port1, port2 } = new MessageChannel();
  const client = createRpc<Remote>(port1, {}, deadlineMs === undefined ? {} : { deadlineMs });
  const server = createRpc(port2, methods);
  const close = (): void => {
    client.close();
    server.close();
  };
  return { client, server, port1, port2, close };
};

const rejection = (promise: Promise<unknown>): Promise<RpcError> =>
  promise.then(
    () => assert.unreachable('it resolved') as never,
    (error: RpcError) => error,
  );

/** Posts a raw message as Comlink would, and waits for the answer to it. */
const post = (port: MessagePort, message: Record<string, unknown>): Promise<{ type: string; value: unknown }> =>
  new Promise((resolve) => {
    const id = `raw-${Math.random()}`;
    const onMessage = (data: { id: string; type: string; value: unknown }): void => {
      if (data.id !== id) return;
      port.off('message', onMessage);
      resolve(data);
    };
    port.on('message', onMessage);
    port.postMessage({ id, ...message });
  });

test('calls both ways over one port', async () => {
  const { port1, port2 } = new MessageChannel();
  const a = createRpc<Remote>(port1, { add: (x: string) => `${x}!` });
  const b = createRpc<{ add(x: string): string }>(port2, methods);
  assert.is(await a.call('add', 2, 3), 5);
  assert.is(await b.call('add', 'hello'), 'hello!');
  a.close();
  b.close();
});

test('errors keep their code and problem', async () => {
  const { client, close } = connect();
  const told = await rejection(client.call('fail', 'problem'));
  assert.instance(told, RpcError);
  assert.is(told.message, 'too fast');
  assert.is(told.problem?.code, 'rate_limited');
  assert.is(told.problem?.retry_after, 2);
  assert.is((await rejection(client.call('fail', 'code'))).code, 'ENOENT');
  assert.is((await rejection(client.call('fail', 'plain'))).code, 'ERR_RPC_FAILED');
  assert.is((await rejection(client.call('unclonable'))).code, 'ERR_RPC_FAILED');
  assert.is(await client.call('add', 1, 1), 2);
  close();
});

test('a method that does not answer is given up at the deadline', async () => {
  const { client, close } = connect(20);
  assert.is((await rejection(client.call('never'))).code, 'ERR_RPC_TIMEOUT');
  assert.is(await client.call('add', 1, 1), 2);
  close();
});

test('what is pending is rejected when the other side closes, and so is what comes after', async () => {
  const { client, server } = connect();
  const pending = rejection(client.call('never'));
  server.close();
  assert.is((await pending).code, 'ERR_RPC_CLOSED');
  assert.is((await rejection(client.call('add', 1, 1))).code, 'ERR_RPC_CLOSED');
});

test('what is pending is rejected when the worker dies', async () => {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(`require('node:worker_threads').workerData.on('message', () => process.exit(3))`, {
    eval: true,
    workerData: port2,
    transferList: [port2],
  });
  const client = createRpc<Remote>(port1, {});
  assert.is((await rejection(client.call('add', 1, 1))).code, 'ERR_RPC_CLOSED');
  await worker.terminate();
});

const raw = (value: unknown) => ({ type: 'RAW', value });
const ATTACKS: Record<string, Record<string, unknown>> = {
  'the constructor of a constructor': {
    type: 'APPLY',
    path: ['add', 'constructor', 'constructor'],
    argumentList: [raw('globalThis.reached = true')],
  },
  bind: { type: 'APPLY', path: ['add', 'bind'], argumentList: [] },
  'an inherited method': { type: 'APPLY', path: ['toString'], argumentList: [] },
  'the prototype': { type: 'APPLY', path: ['__proto__'], argumentList: [] },
  'an unknown method': { type: 'APPLY', path: ['remove'], argumentList: [] },
  'no path': { type: 'APPLY', path: [], argumentList: [] },
  'a path that is no list': { type: 'APPLY', path: 'add', argumentList: [] },
  reading: { type: 'GET', path: ['add'] },
  writing: { type: 'SET', path: ['add'], value: raw(1) },
  constructing: { type: 'CONSTRUCT', path: ['add'], argumentList: [] },
  'a further port': { type: 'ENDPOINT', path: [] },
  'closing it': { type: 'RELEASE', path: [] },
  'an argument that throws': {
    type: 'APPLY',
    path: ['add'],
    argumentList: [{ type: 'HANDLER', name: 'throw', value: { isError: false, value: 1 } }],
  },
  'an argument without a type': { type: 'APPLY', path: ['add'], argumentList: [null] },
};

for (const [name, message] of Object.entries(ATTACKS)) {
  test(`refuses ${name}`, async () => {
    const { client, port1, close } = connect();
    const answer = await post(port1, message);
    assert.is(answer.type, 'RAW');
    assert.is((answer.value as { code?: string }).code, 'ERR_RPC_REFUSED');
    assert.is(Object.hasOwn(globalThis, 'reached'), false);
    assert.is(await client.call('add', 1, 2), 3, 'it goes on');
    close();
  });
}

test('takes no notice of texts and of what is no message at all', async () => {
  const { client, port1, close } = connect();
  for (const junk of ['text', 1, null, {}, { id: 5 }, [], { id: 'x' }]) port1.postMessage(junk);
  assert.is(await client.call('add', 1, 2), 3);
  close();
});

test.run();
