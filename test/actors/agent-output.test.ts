import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createOutput, OUTPUT_WINDOW, type Stream } from '../../actors/agent-output.ts';
import { createPace } from '../../actors/agent-pace.ts';

const test = suite('agent-output');

const written = fc.array(
  fc.tuple(
    fc.string({
      unit: fc.constantFrom('a', 'é', '😀', '\u001b', '"', '\n'),
      maxLength: 30_000,
      minLength: 1,
      size: 'max',
    }),
    fc.constantFrom<Stream>('stdout', 'stderr'),
  ),
  { maxLength: 6 },
);

test('sends every character once and in order per stream, in chunks that fit into an event', async () => {
  await fc.assert(
    fc.asyncProperty(written, async (all) => {
      const sent: Record<Stream, string> = { stdout: '', stderr: '' };
      const output = createOutput({
        now: () => performance.now(),
        send: (stream, chunk, bytes) => {
          assert.is(bytes, Buffer.byteLength(chunk));
          assert.ok(Buffer.byteLength(JSON.stringify(chunk)) <= 60 * 1024);
          assert.ok(chunk.isWellFormed(), 'no half characters');
          sent[stream] += chunk;
          queueMicrotask(() => output.credit(bytes));
        },
      });
      for (const [text, stream] of all) output.write(text, Buffer.byteLength(text), stream);
      await output.drain();
      for (const stream of ['stdout', 'stderr'] as const) {
        assert.ok(
          sent[stream] ===
            all
              .filter((each) => each[1] === stream)
              .map(([text]) => text)
              .join(''),
          stream,
        );
      }
    }),
    { numRuns: 30 },
  );
});

test('holds back what is beyond the window until it is durable', async () => {
  const sent: number[] = [];
  const output = createOutput({ now: () => performance.now(), send: (_, __, bytes) => void sent.push(bytes) });
  const size = OUTPUT_WINDOW * 2;
  output.write('x'.repeat(size), size, 'stdout');
  let roomy = false;
  const room = output.room().then(() => (roomy = true));
  const drained = output.drain();
  const total = (): number => sent.reduce((sum, bytes) => sum + bytes, 0);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(total() >= OUTPUT_WINDOW && total() < size, `${total()} sent`);
  assert.is(roomy, false);
  let credited = 0;
  while (total() < size || credited < sent.length) {
    for (; credited < sent.length; credited++) output.credit(sent[credited] as number);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await Promise.all([room, drained]);
  assert.is(total(), size);
});

test('drops what waits when the run is stopped, and says why', async () => {
  const output = createOutput({ now: () => performance.now(), send: () => {} });
  const size = OUTPUT_WINDOW;
  output.write('x'.repeat(size), size, 'stdout');
  const room = output.room().then(
    () => 'room',
    (error: Error) => error.message,
  );
  output.discard(new Error('stopped'));
  assert.is(await room, 'stopped');
  await output.drain();
});

test('never more than the limit in any second, and evenly spaced unless in a hurry', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(300), fc.boolean()), { maxLength: 100 }),
      fc.integer({ min: 1, max: 20 }),
      (all, limit) => {
        const pace = createPace(limit);
        const times: number[] = [];
        let now = 0;
        for (const [passed, hurry] of all) {
          now += passed;
          const wait = pace.wait(now, hurry);
          if (!hurry && times.length > 0) assert.ok(now + wait - (times.at(-1) as number) >= 1000 / limit - 1e-6);
          now += wait;
          times.push(now);
          pace.sent(now);
          assert.ok(times.filter((time) => time > now - 1000 + 1e-6).length <= limit);
        }
      },
    ),
  );
});

test.run();
