import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createFramer, type Frame } from '../../brokers/wire-frames.ts';

const test = suite('wire frames');

const encoded = (length: number): number[] =>
  length < 128 ? [length] : [(length % 128) + 128, ...encoded(Math.floor(length / 128))];

test('a stream of packets comes out whole however it is cut into chunks', () => {
  const packet = fc.uint8Array({ maxLength: 300 }).map((body) => Buffer.from([0x30, ...encoded(body.length), ...body]));
  fc.assert(
    fc.property(
      fc.array(packet, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }),
      (packets, cuts) => {
        const framer = createFramer(
          () => 1_000,
          () => null,
        );
        const stream = Buffer.concat(packets);
        const out: Buffer[] = [];
        for (let at = 0, cut = 0; at < stream.length; cut++) {
          const size = cuts[cut % cuts.length] as number;
          framer.push(stream.subarray(at, at + size));
          at += size;
          for (let next = framer.next(); next !== null; next = framer.next()) {
            const { buffer, start, end } = next as Frame;
            out.push(Buffer.from(buffer.subarray(start, end)));
          }
        }
        assert.equal(
          out.map((bytes) => bytes.toString('hex')),
          packets.map((bytes) => bytes.toString('hex')),
        );
      },
    ),
  );
});

test('arbitrary bytes end in packets, in a violation or in waiting, and never in a throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const framer = createFramer(
        () => 1_000,
        () => null,
      );
      framer.push(Buffer.from(bytes));
      for (let next = framer.next(), count = 0; next !== null && !('reason' in next); next = framer.next())
        assert.ok(++count <= bytes.length);
    }),
    { numRuns: 500 },
  );
});

test('after a violation it stays one', () => {
  const framer = createFramer(
    () => 1_000,
    () => null,
  );
  framer.push(Buffer.from([0xf0, 0]));
  const violation = framer.next();
  framer.push(Buffer.from([0xc0, 0]));
  assert.is(framer.next(), violation);
});

test.run();
