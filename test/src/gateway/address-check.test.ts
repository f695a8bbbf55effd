import type { LookupAddress } from 'node:dns';
import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ProblemError } from '../../../machines/error.ts';
import { createAddressCheck } from '../../../src/gateway/address-check.ts';

const named = (...addresses: string[]): readonly LookupAddress[] =>
  addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));

const checking = (allow: readonly string[], ...addresses: string[]) =>
  createAddressCheck({ allow, lookup: () => Promise.resolve(named(...addresses)) });

const refusal = async (work: Promise<unknown>): Promise<ProblemError['problem']> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof ProblemError) return error.problem;
    throw error;
  }
  throw new Error('nothing was refused');
};

const REFUSED = [
  ...['0.0.0.0', '0.1.2.3', '10.1.2.3', '100.64.0.1', '100.100.100.200', '127.0.0.1', '127.255.255.254', '169.254.0.1'],
  ...['169.254.169.254', '172.16.0.1', '172.31.255.255', '192.0.0.192', '192.0.2.1', '192.168.0.1', '198.18.0.1'],
  ...['198.51.100.1', '203.0.113.1', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255', '168.63.129.16'],
  ...['::', '::1', '::7f00:1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '::ffff:0:127.0.0.1', '64:ff9b::7f00:1'],
  ...['64:ff9b::808:808', '64:ff9b:1::1', '100::1', '2001::1', '2001:db8::1', '2002:7f00:1::', '2002:808:808::'],
  ...['3fff::1', '4000::1', '5f00::1', 'fc00::1', 'fd00:ec2::254', 'fdff::1', 'fe80::1', 'fec0::1', 'ff02::1'],
];
const PUBLIC = ['1.1.1.1', '8.8.8.8', '100.63.255.255', '172.32.0.1', '192.167.255.255', '2606:4700::1111', '2a00::1'];

const literal = (address: string): string => `http://${isIPv6(address) ? `[${address}]` : address}/hook`;

const test = suite('address check');

test('what is not public is refused, as a literal and by name, and the field is named', async () => {
  for (const address of REFUSED) {
    for (const check of [checking([]).resolve(literal(address)), checking([], address).resolve('https://a.example/')]) {
      const { code, status, errors, detail } = await refusal(check);
      assert.equal([code, status, errors?.[0]?.field], ['address_refused', 400, 'url'], address);
      assert.not.ok(detail.includes(address), address);
    }
  }
});

test('public addresses are passed, as a literal and by name', async () => {
  for (const address of PUBLIC) {
    assert.equal(await checking([]).resolve(literal(address)), named(address));
    assert.equal(await checking([], address).resolve('https://a.example:8443/'), named(address));
  }
});

test('other spellings of an address are the address', async () => {
  const hosts = ['0x7f000001', '2130706433', '127.1', '0177.0.0.1', '127.0.0.1.', '①②⑦.0.0.1', '0'];
  const check = createAddressCheck({
    allow: [],
    lookup: () => Promise.reject(new Error('a name')),
  });
  for (const host of hosts) {
    assert.is((await refusal(check.resolve(`http://${host}/`))).code, 'address_refused');
    const allowing = createAddressCheck({ allow: ['127.0.0.1/32', '0.0.0.0/32'], lookup: () => Promise.resolve([]) });
    assert.is((await allowing.resolve(`http://${host}/`)).length, 1, host);
  }
  assert.is((await refusal(check.resolve('http://[::ffff:7f00:1]/'))).code, 'address_refused');
});

test('of several addresses those are given that may be called', async () => {
  const check = checking(['10.0.0.0/8'], '127.0.0.1', '8.8.8.8', '::1', '10.0.0.1', '2a00::1');
  assert.equal(await check.resolve('http://a.example'), named('8.8.8.8', '10.0.0.1', '2a00::1'));
  const many = Array.from({ length: 100 }, (_, n) => `8.8.8.${n}`);
  assert.is((await checking([], ...many).resolve('http://a.example')).length, 16);
});

test('a name that is not there is answered as one that leads inside', async () => {
  const url = 'http://a.example';
  const inside = await refusal(checking([], '10.0.0.1').resolve(url));
  assert.equal(await refusal(checking([]).resolve(url)), inside);
  const failing = createAddressCheck({ allow: [], lookup: () => Promise.reject(new Error('ENOTFOUND a.example')) });
  assert.equal(await refusal(failing.resolve(url)), inside);
  const strange = createAddressCheck({ allow: [], lookup: () => Promise.resolve([{ address: '8.8', family: 4 }]) });
  assert.equal(await refusal(strange.resolve(url)), inside);
});

test('a URL that is none, of another scheme, with a user or too long is refused before anything is looked up', async () => {
  let asked = 0;
  const lookup = (): Promise<readonly LookupAddress[]> => {
    asked += 1;
    return Promise.resolve(named('8.8.8.8'));
  };
  const check = createAddressCheck({ allow: ['0.0.0.0/0', '::/0'], lookup });
  const urls = ['', 'a.example', 'ftp://a.example', 'file:///etc/passwd', 'http://', 'http://[fe80::1%25eth0]/'];
  for (const url of [
    ...urls,
    'https://u@a.example',
    'https://u:p@a.example',
    `http://a.example/${'x'.repeat(2_048)}`,
  ]) {
    const { errors, detail } = await refusal(check.resolve(url));
    assert.is(errors?.[0]?.field, 'url', url);
    assert.not.ok(detail.includes('u:p'));
  }
  assert.is(asked, 0);
});

test('localhost stays on this machine, and is refused like it', async () => {
  for (const host of ['localhost', 'LOCALHOST.', 'a.localhost'])
    for (const [allow, expected] of [
      [['127.0.0.1/32'], ['127.0.0.1']],
      [['::1/128'], ['::1']],
    ] as const)
      assert.equal(await createAddressCheck({ allow }).resolve(`http://${host}/`), named(...expected));
  assert.is((await refusal(createAddressCheck({ allow: [] }).resolve('http://localhost/'))).code, 'address_refused');
});

/** Whether the address is refused with this range allowed. */
const isRefused = async (address: string, ...allow: string[]): Promise<boolean> =>
  checking(allow, address)
    .resolve('http://a.example')
    .then(
      () => false,
      () => true,
    );

test('a range allows what is in it and nothing beside it, nor its disguises', async () => {
  const bit = fc.integer({ min: 0, max: 31 });
  await fc.assert(
    fc.asyncProperty(fc.ipV4(), fc.integer({ min: 1, max: 32 }), bit, async (network, bits, flipped) => {
      const number = network.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
      const other = (number ^ (1 << (31 - flipped))) >>> 0;
      const address = [24, 16, 8, 0].map((shift) => (other >>> shift) & 255).join('.');
      const range = `${network}/${bits}`;
      assert.is(await isRefused(address, range), flipped < bits && (await isRefused(address)));
      assert.ok(await isRefused(`::ffff:${address}`, range));
    }),
  );
});

test.run();
