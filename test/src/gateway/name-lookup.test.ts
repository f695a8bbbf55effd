import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNameLookup } from '../../../src/gateway/name-lookup.ts';
import { within } from '../../support/mqtt-wire.ts';

const [A, AAAA] = [1, 28];
/** Less than a resolver that is not stopped waits for two tries. */
const PATIENCE_MS = 3_500;
const V4 = Buffer.from([10, 0, 0, 7]);
const V6 = Buffer.from('fd000000000000000000000000000007', 'hex');

/** The data of a record of this type, `absent` where the name is not there, or nothing to say nothing at all. */
type Zone = (type: number) => Buffer | 'absent' | undefined;

/** A name server (RFC 1035, 4.1) that has one record for every name. */
const startNameServer = async (zone: Zone) => {
  const socket = createSocket('udp4');
  let asked = 0;
  socket.on('message', (query, { port, address }) => {
    asked += 1;
    const end = query.indexOf(0, 12) + 5;
    const type = query.readUInt16BE(end - 4);
    const record = zone(type);
    if (record === undefined) return;
    const head = Buffer.alloc(12);
    query.copy(head, 0, 0, 2);
    head.writeUInt16BE(record === 'absent' ? 0x8183 : 0x8180, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(record === 'absent' ? 0 : 1, 6);
    const answer = Buffer.alloc(12);
    answer.writeUInt16BE(0xc00c, 0);
    answer.writeUInt16BE(type, 2);
    answer.writeUInt16BE(1, 4);
    if (record !== 'absent') answer.writeUInt16BE(record.length, 10);
    const parts = record === 'absent' ? [] : [answer, record];
    socket.send(Buffer.concat([head, query.subarray(12, end), ...parts]), port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    lookup: createNameLookup({ servers: [`127.0.0.1:${socket.address().port}`], deadlineMs: 300 }),
    asked: () => asked,
    close: () => socket.close(),
  };
};

const found4 = { address: '10.0.0.7', family: 4 };
const found6 = { address: 'fd00::7', family: 6 };

const CASES: readonly [what: string, zone: Zone, expected: readonly object[]][] = [
  ['both families are asked for', (type) => (type === A ? V4 : V6), [found4, found6]],
  ['one family is enough', (type) => (type === AAAA ? V6 : 'absent'), [found6]],
  ['a name that is not there has none', () => 'absent', []],
  ['a server that says nothing is not waited for', () => undefined, []],
  ['what has been said by the deadline is used', (type) => (type === A ? V4 : undefined), [found4]],
];

const test = suite('name lookup');

for (const [what, zone, expected] of CASES) {
  test(what, async () => {
    const { lookup, asked, close } = await startNameServer(zone);
    assert.equal(await within('answer', lookup('a.example'), PATIENCE_MS), expected);
    assert.ok(asked() >= 2);
    close();
  });
}

test('nobody is asked for localhost', async () => {
  const { lookup, asked, close } = await startNameServer(() => V4);
  for (const name of ['localhost', 'localhost.', 'a.LocalHost'])
    assert.equal(await lookup(name), [
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ]);
  assert.is(asked(), 0);
  assert.is((await lookup('notlocalhost')).length, 1);
  close();
});

test.run();
