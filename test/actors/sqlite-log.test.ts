import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createLogTail } from '../../actors/sqlite-log.ts';
import { executionId, sessionId } from '../contract/journal-turns.ts';

const test = suite('log tail');

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      sessions: fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('apply' as const), size: fc.nat({ max: 300 }) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('look' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reload' as const) }) },
);

test('the last row that speaks of a session is found, whatever was appended, applied and asked before', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const db = new DatabaseSync(':memory:');
      db.exec('CREATE TABLE log (id INTEGER PRIMARY KEY, text TEXT NOT NULL)');
      const tail = createLogTail(db);
      /** As the table has it; what was there at a reload may speak of anything. */
      let rows: { id: number; text: string; blind: boolean }[] = [];
      let nextId = 1;
      for (const each of steps) {
        if (each.type === 'append') {
          const text = each.sessions.map((n) => `${sessionId(n)}/execution/${executionId(n)}`).join('\n');
          tail.append([text]);
          rows.push({ id: nextId++, text, blind: false });
        } else if (each.type === 'apply') {
          const last = tail.oldest(each.size).at(-1)?.id ?? 0;
          tail.remove(last);
          tail.forget(last);
          rows = rows.filter(({ id }) => id > last);
        } else if (each.type === 'reload') {
          tail.reload();
          rows = rows.map((row) => ({ ...row, blind: true }));
        } else {
          const lastOf = (mention: string): number =>
            rows.findLast(({ text, blind }) => blind || text.includes(mention))?.id ?? 0;
          for (let n = 0; n <= 6; n++) {
            for (const mention of [sessionId(n), executionId(n)]) {
              const found = tail.lastMention(mention);
              assert.is(tail.holds(found) ? found : 0, lastOf(mention), mention);
            }
          }
          assert.is(tail.lastMention(null), rows.at(-1)?.id ?? 0);
        }
        assert.is(
          tail.size,
          rows.reduce((sum, { text }) => sum + text.length, 0),
        );
      }
      db.close();
    }),
  );
});

test.run();
