import { createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { chainAudit, createAuditVerifier, EMPTY_CHAIN } from '../../actors/audit-chain.ts';
import type { AuditHead, AuditVerdict, StoredAudit } from '../../actors/reads.ts';

const test = suite('audit chain');

const KEY = randomBytes(32);

const verify = (records: Iterable<StoredAudit>, head?: AuditHead, key: Uint8Array = KEY): AuditVerdict => {
  const verifier = createAuditVerifier(key, head);
  for (const record of records) verifier.take(record);
  return verifier.finish();
};

test('a record is chained by HMAC-SHA-256 over the one before, its number and its text', () => {
  const mac = (message: string): string => createHmac('sha256', KEY).update(message).digest('hex');
  const first = mac(`${'0'.repeat(64)}:1:{"a":"ü"}`);
  assert.equal(chainAudit(KEY, EMPTY_CHAIN, ['{"a":"ü"}', '{}']), [
    { n: 1, text: '{"a":"ü"}', mac: first },
    { n: 2, text: '{}', mac: mac(`${first}:2:{}`) },
  ]);
  assert.equal(chainAudit(KEY, { n: 9, mac: first }, []), []);
});

const entryTexts = fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 12 });
const place = fc.nat();

const chainOf = (parts: readonly (readonly string[])[]): StoredAudit[] => {
  const records: StoredAudit[] = [];
  for (const texts of parts) records.push(...chainAudit(KEY, records.at(-1) ?? EMPTY_CHAIN, texts));
  return records;
};

test('a chain is valid in whatever parts it was made, against each of its heads', () => {
  fc.assert(
    fc.property(fc.array(entryTexts, { maxLength: 4 }), (parts) => {
      const records = chainOf(parts);
      assert.equal(records, chainOf([parts.flat()]));
      const { n, mac } = records.at(-1) ?? EMPTY_CHAIN;
      for (const head of [undefined, EMPTY_CHAIN, ...records]) {
        assert.equal(verify(records, head), { valid: true, records: n, head: `${n}:${mac}` });
      }
    }),
  );
});

/** One change of a chain, and the first number that is not as it was. */
type Change = (records: StoredAudit[], at: number) => { readonly changed: StoredAudit[]; readonly firstBad: number };

const CHANGES: Record<string, (value: string) => Change> = {
  text: (value) => (records, at) => {
    const text = `${records[at]?.text}${value}x`;
    return { changed: records.with(at, { ...(records[at] as StoredAudit), text }), firstBad: at + 1 };
  },
  mac: (value) => (records, at) => {
    const { mac } = records[at] as StoredAudit;
    const other = createHmac('sha256', 'another').update(mac).update(value).digest('hex');
    return { changed: records.with(at, { ...(records[at] as StoredAudit), mac: other }), firstBad: at + 1 };
  },
  'mac in capitals': () => (records, at) => {
    const record = records[at] as StoredAudit;
    // Digits alone have no capitals.
    const mac = /[a-f]/.test(record.mac) ? record.mac.toUpperCase() : `${record.mac}0`;
    return { changed: records.with(at, { ...record, mac }), firstBad: at + 1 };
  },
  number: (value) => (records, at) => {
    const record = records[at] as StoredAudit;
    const moved = { ...record, n: records.length + 1 + value.length };
    // Read in order of the number, as the table is.
    return { changed: records.toSpliced(at, 1).concat(moved), firstBad: at + 1 };
  },
  removal: () => (records, at) => ({ changed: records.toSpliced(at, 1), firstBad: at + 1 }),
  insertion: (value) => (records, at) => {
    const { n } = records[at] as StoredAudit;
    const forged = chainAudit(randomBytes(32), records[at - 1] ?? EMPTY_CHAIN, [value]);
    const after = records.slice(at).map((record) => ({ ...record, n: record.n + 1 }));
    return { changed: [...records.slice(0, at), ...forged, ...after], firstBad: n };
  },
  'insertion before the first': (value) => (records) => ({
    changed: [{ n: 0, text: value, mac: EMPTY_CHAIN.mac }, ...records],
    firstBad: 1,
  }),
  swap: () => (records, at) => {
    const other = (at + 1) % records.length;
    const [a, b] = [records[at] as StoredAudit, records[other] as StoredAudit];
    // The contents change places, the numbers do not.
    const changed = records.with(at, { ...b, n: a.n }).with(other, { ...a, n: b.n });
    return { changed, firstBad: Math.min(at, other) + 1 };
  },
};

test('any single change is detected, and the first bad record is named', () => {
  fc.assert(
    fc.property(
      entryTexts,
      place,
      fc.constantFrom(...Object.keys(CHANGES)),
      fc.string(),
      fc.boolean(),
      (texts, at, kind, value, knowsHead) => {
        const records = chainOf([texts]);
        if (kind === 'swap') fc.pre(records.length > 1);
        const { changed, firstBad } = (CHANGES[kind] as (value: string) => Change)(value)(records, at % records.length);
        // A tail that is cut shows against an exported head alone.
        const isCut = kind === 'removal' && firstBad === records.length;
        const verdict = verify(changed, knowsHead || isCut ? records.at(-1) : undefined);
        assert.is(verdict.valid, false);
        assert.is(verdict.firstBad, firstBad);
        assert.is(verdict.records, changed.length);
        const last = changed.at(-1) ?? EMPTY_CHAIN;
        assert.is(verdict.head, `${last.n}:${last.mac}`);
      },
    ),
    { numRuns: 1_000 },
  );
});

test('a tail of any length that is cut is detected against any later head, and goes unseen without one', () => {
  fc.assert(
    fc.property(entryTexts, place, (texts, at) => {
      const records = chainOf([texts]);
      const left = records.slice(0, at % records.length);
      assert.is(verify(left).valid, true);
      for (const head of records.slice(left.length)) {
        assert.equal(verify(left, head), { ...verify(left), valid: false, firstBad: left.length + 1 });
        // Also where others have taken the place of what was cut.
        const regrown = chainOf([left.map(({ text }) => text), texts.map((text) => `${text}!`)]);
        assert.equal(verify(regrown, head), { ...verify(regrown), valid: false, firstBad: head.n });
      }
    }),
  );
});

test('a number that is left out is missing, also where the key was at hand to chain over the hole', () => {
  const first = chainOf([['a']])[0] as StoredAudit;
  const after = chainAudit(KEY, { n: 2, mac: first.mac }, ['b']);
  const { valid, firstBad } = verify([first, ...after]);
  assert.equal([valid, firstBad], [false, 2]);
});

test('under another key nothing is valid, from the first record on', () => {
  fc.assert(
    fc.property(entryTexts, (texts) => {
      const verdict = verify(chainOf([texts]), undefined, randomBytes(32));
      assert.equal([verdict.valid, verdict.firstBad, verdict.records], [false, 1, texts.length]);
    }),
  );
});

test.run();
