import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { createPresence } from '../../../src/gateway/presence.ts';

const test = suite('presence');

const CLIENT = { client_id: 'cli_1', session_id: 'ses_1' } as const;

const stage = (accepts = () => true, presumed: readonly (typeof CLIENT)[] = []) => {
  let now = 0;
  const told: string[] = [];
  const presence = createPresence({
    system: {
      now: () => now,
      tell: ({ message }) => {
        const taken = accepts();
        if (taken) told.push(message.type);
        return taken;
      },
    },
    graceMs: 60_000,
    presumed,
    every: () => () => {},
  });
  return { presence, told, pass: (ms: number) => void (now += ms) };
};

test('a request attaches for the grace time', () => {
  const { presence, told, pass } = stage();
  presence.touch(CLIENT);
  presence.touch(CLIENT);
  pass(59_999);
  presence.sweep();
  assert.equal(told, ['client.attach']);
  presence.touch(CLIENT);
  pass(59_999);
  presence.sweep();
  pass(1);
  presence.sweep();
  presence.sweep();
  assert.equal(told, ['client.attach', 'client.detach']);
  presence.touch(CLIENT);
  assert.equal(told, ['client.attach', 'client.detach', 'client.attach']);
});

test('a connection attaches as long as it lasts, and for the grace time after', () => {
  const { presence, told, pass } = stage();
  const [one, two] = [presence.connect(CLIENT), presence.connect(CLIENT)];
  pass(1_000_000);
  one();
  one();
  pass(1_000_000);
  presence.sweep();
  assert.equal(told, ['client.attach']);
  two();
  pass(59_999);
  presence.sweep();
  assert.equal(told, ['client.attach']);
  pass(1);
  presence.sweep();
  assert.equal(told, ['client.attach', 'client.detach']);
});

test('who was attached when the last process ended has the grace time to come back', () => {
  const gone = stage(undefined, [CLIENT]);
  gone.pass(60_000);
  gone.presence.sweep();
  assert.equal(gone.told, ['client.detach']);
  const back = stage(undefined, [CLIENT]);
  back.pass(59_999);
  back.presence.touch(CLIENT);
  back.pass(59_999);
  back.presence.sweep();
  assert.equal(back.told, []);
});

test('a full inbox is tried again', () => {
  let full = true;
  const { presence, told, pass } = stage(() => !full);
  presence.touch(CLIENT);
  assert.equal(told, []);
  full = false;
  presence.sweep();
  assert.equal(told, ['client.attach']);
  full = true;
  pass(60_000);
  presence.sweep();
  full = false;
  presence.sweep();
  assert.equal(told, ['client.attach', 'client.detach']);
});

test('attach and detach alternate, whatever happens', () => {
  const step = fc.constantFrom('touch', 'connect', 'end', 'pass', 'long', 'sweep', 'full');
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      let full = false;
      const { presence, told, pass } = stage(() => !full);
      const open: (() => void)[] = [];
      for (const each of steps) {
        if (each === 'touch') presence.touch(CLIENT);
        else if (each === 'connect') open.push(presence.connect(CLIENT));
        else if (each === 'end') open.shift()?.();
        else if (each === 'pass') pass(10_000);
        else if (each === 'long') pass(100_000);
        else if (each === 'full') full = !full;
        else presence.sweep();
        if (!full && open.length > 0) presence.sweep();
        if (!full && open.length > 0) assert.is(told.at(-1), 'client.attach');
      }
      told.forEach((type, index) => assert.is(type, index % 2 === 0 ? 'client.attach' : 'client.detach'));
    }),
  );
});

test.run();
