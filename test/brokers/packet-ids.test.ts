import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createPacketIds } from '../../brokers/packet-ids.ts';

const test = suite('packet ids');

test('[MQTT-2.3.1-1] all 65535 are given out once, never 0, and then none', () => {
  const ids = createPacketIds(100_000);
  const seen = new Set<number | null>();
  for (let n = 0; n < 65_535; n++) seen.add(ids.take());
  assert.is(seen.size, 65_535);
  assert.not.ok(seen.has(0) || seen.has(null));
  assert.is(ids.take(), null);
  assert.ok(ids.full());
  ids.free(4_711);
  assert.is(ids.take(), 4_711);
});

test('one that is held is passed over, and counts', () => {
  const ids = createPacketIds(3);
  ids.hold(1);
  assert.equal([ids.take(), ids.take(), ids.take()], [2, 3, null]);
});

test.run();
