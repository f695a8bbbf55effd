import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Capability } from '../../machines/capability.ts';
import { EMPTY_LEDGER, charge, release, withoutMeters } from '../../machines/charge.ts';
import type { Charge, Ledger } from '../../machines/charge.ts';
import type { Constraints } from '../../machines/constraint.ts';
import { START, capabilityOf } from '../support/capabilities.ts';

const test = suite('charge');

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A root, two clients of it, a share of the first, and a share of that. */
const familyOf = (limits: readonly Constraints[]): Capability[] =>
  [null, 'cap_0', 'cap_0', 'cap_1', 'cap_3'].map((parent_id, index) =>
    capabilityOf({ id: `cap_${index}`, parent_id, constraints: limits[index] ?? {} }),
  );
const finder = (all: readonly Capability[]) => (id: string) => all.find((capability) => capability.id === id);
const lineOf = (all: readonly Capability[], { id, parent_id }: Capability): string[] => {
  const parent = all.find((capability) => capability.id === parent_id);
  return parent === undefined ? [id] : [id, ...lineOf(all, parent)];
};

const one = (constraints: Constraints) => {
  const capability = capabilityOf({ constraints });
  return (ledger: Ledger, at: number): Charge => charge(ledger, [capability], finder([capability]), at);
};
const charged = (result: Charge): Extract<Charge, { ok: true }> => {
  if (!result.ok) throw new Error(JSON.stringify(result.problem));
  return result;
};
const refusal = (result: Charge) => {
  if (result.ok) throw new Error('it was charged');
  const { status, code, reason, retry_after } = result.problem;
  return { status, code, reason, retry_after };
};
const repeated = (use: (ledger: Ledger, at: number) => Charge, times: readonly number[]): Ledger =>
  times.reduce((ledger, at) => charged(use(ledger, at)).ledger, EMPTY_LEDGER);

const frozen = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(frozen);
  return value;
};

test('max_operations used up is a 403, for ever', () => {
  const use = one({ max_operations: 2 });
  const ledger = repeated(use, [START, START]);
  const exhausted = { status: 403, code: 'security_violation', reason: 'exhausted', retry_after: undefined };
  assert.equal(refusal(use(ledger, START)), exhausted);
  assert.equal(refusal(use(release(ledger, ['cap_1']), START + 1000 * HOUR)), exhausted);
});

test('max_concurrent is a 429 until one has ended', () => {
  const use = one({ max_concurrent: 2 });
  const ledger = repeated(use, [START, START]);
  assert.equal(refusal(use(ledger, START + HOUR * 2)), {
    status: 429,
    code: 'rate_limited',
    reason: 'concurrent',
    retry_after: 1,
  });
  charged(use(release(ledger, charged(use(EMPTY_LEDGER, START)).charged), START));
});

test('rate_limit is a 429 with the seconds until the oldest minute is an hour ago', () => {
  const use = one({ rate_limit: 2 });
  const ledger = repeated(use, [START + 30_000, START + 5 * MINUTE]);
  const at = START + 10 * MINUTE;
  assert.equal(refusal(use(ledger, at)), {
    status: 429,
    code: 'rate_limited',
    reason: 'rate_limited',
    retry_after: 51 * 60,
  });
  assert.is(refusal(use(ledger, START + 61 * MINUTE - 1)).retry_after, 1);
  const next = charged(use(ledger, START + 61 * MINUTE)).ledger;
  assert.is(refusal(use(next, START + 61 * MINUTE)).retry_after, 5 * 60);
});

test('what has no limits is not metered', () => {
  const all = familyOf([]);
  const result = charged(charge(EMPTY_LEDGER, all.slice(4), finder(all), START));
  assert.is(result.ledger, EMPTY_LEDGER);
  assert.equal(result.charged, []);
  assert.is(release(EMPTY_LEDGER, []), EMPTY_LEDGER);
});

test('the first in order that has room is charged, else the next; when none has, what a retry mends soonest', () => {
  const all = [
    capabilityOf({ id: 'cap_1', constraints: { max_operations: 1 } }),
    capabilityOf({ id: 'cap_2', constraints: { rate_limit: 1 } }),
    capabilityOf({ id: 'cap_3', constraints: { max_concurrent: 1 } }),
  ];
  let ledger = EMPTY_LEDGER;
  for (const id of ['cap_1', 'cap_2', 'cap_3']) {
    const result = charged(charge(ledger, all, finder(all), START));
    assert.is(result.capability.id, id);
    assert.equal(result.charged, [id]);
    ({ ledger } = result);
  }
  const reasonOf = (covering: readonly Capability[]) => refusal(charge(ledger, covering, finder(all), START)).reason;
  assert.is(reasonOf(all), 'concurrent');
  assert.is(reasonOf(all.slice(0, 2)), 'rate_limited');
  assert.is(reasonOf(all.slice(0, 1)), 'exhausted');
  assert.is(reasonOf([]), 'no_capability');
});

test('an ancestor without room refuses what descends from it; without an ancestor nothing is charged', () => {
  const all = familyOf([{}, { max_operations: 1 }, {}, { max_operations: 5, rate_limit: 5 }]);
  const use =
    (index: number, known = all) =>
    (ledger: Ledger) =>
      charge(ledger, all.slice(index, index + 1), finder(known), START);
  const { ledger, charged: ids } = charged(use(4)(EMPTY_LEDGER));
  assert.equal(ids, ['cap_3', 'cap_1']);
  assert.is(refusal(use(4)(ledger)).reason, 'exhausted');
  assert.is(refusal(use(3)(ledger)).reason, 'exhausted');
  charged(use(2)(ledger));
  const known = all.toSpliced(1, 1);
  assert.is(refusal(use(4, known)(EMPTY_LEDGER)).reason, 'no_capability');
  assert.is(
    charged(charge(EMPTY_LEDGER, [...all.slice(4), ...all.slice(2, 3)], finder(known), START)).capability.id,
    'cap_2',
  );
});

test('the end of an execution frees the ancestors of a capability that was revoked meanwhile', () => {
  const all = familyOf([{}, { max_concurrent: 1 }, {}, { max_concurrent: 1 }]);
  const result = charged(charge(EMPTY_LEDGER, all.slice(3, 4), finder(all), START));
  const after = release(withoutMeters(result.ledger, ['cap_3']), result.charged);
  assert.equal(Object.keys(after.meters), ['cap_1']);
  charged(charge(after, all.slice(1, 2), finder(all), START));
});

test('the minutes kept are bounded', () => {
  const use = one({ rate_limit: 1_000 });
  let ledger = EMPTY_LEDGER;
  for (let minute = 0; minute < 200; minute += 1) {
    ({ ledger } = charged(use(ledger, START + minute * MINUTE)));
    assert.ok((ledger.meters['cap_1']?.window.length ?? 0) <= 62);
  }
});

type Action = { readonly use: number; readonly after_ms: number } | { readonly end: number; readonly after_ms: number };

const limits: fc.Arbitrary<Constraints> = fc.record(
  {
    rate_limit: fc.integer({ min: 1, max: 4 }),
    max_concurrent: fc.integer({ min: 1, max: 6 }),
    max_operations: fc.integer({ min: 1, max: 12 }),
  },
  { requiredKeys: [] },
);
/** Mostly forwards, by about what makes a difference; sometimes the wall's clock is set back. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 20 * MINUTE }) },
  { weight: 2, arbitrary: fc.constantFrom(0, 1, MINUTE - 1, MINUTE, HOUR - 1, HOUR, HOUR + MINUTE) },
  { weight: 1, arbitrary: fc.integer({ min: -3 * HOUR, max: 0 }) },
);
const actions: fc.Arbitrary<Action[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ use: fc.nat(4), after_ms: step }) },
    { weight: 1, arbitrary: fc.record({ end: fc.nat(20), after_ms: step }) },
  ),
  { maxLength: 60 },
);

interface Use {
  readonly id: string;
  /** Those that count it. */
  readonly line: readonly string[];
  /** Time passed in all, by charges: what went back is none. */
  readonly elapsed: number;
  readonly charged: readonly string[];
  live: boolean;
}

/** Why a plain list of all uses would refuse; `slack` for how long a use counts beyond an hour. */
const reached = (uses: readonly Use[], { id, constraints }: Capability, now: number, slack: number): string[] => {
  const own = uses.filter(({ line }) => line.includes(id));
  const recent = own.filter(({ elapsed }) => now - elapsed < HOUR + slack).length;
  return [
    ...(own.length >= (constraints.max_operations ?? Infinity) ? ['exhausted'] : []),
    ...(recent >= (constraints.rate_limit ?? Infinity) ? ['rate_limited'] : []),
    ...(own.filter(({ live }) => live).length >= (constraints.max_concurrent ?? Infinity) ? ['concurrent'] : []),
  ];
};

test('under any uses, ends and times the limits of a whole family hold, and little more is refused', () => {
  const family = fc.tuple(limits, limits, limits, limits, limits).map(familyOf);
  fc.assert(
    fc.property(family, actions, (all, script) => {
      const find = finder(all);
      const uses: Use[] = [];
      let [ledger, at, latest, elapsed] = [frozen(EMPTY_LEDGER), START, START, 0];
      for (const action of script) {
        at += action.after_ms;
        if ('end' in action) {
          const use = uses[action.end % Math.max(1, uses.length)];
          if (use?.live !== true) continue;
          use.live = false;
          ledger = frozen(release(ledger, use.charged));
          continue;
        }
        const capability = all[action.use] ?? capabilityOf();
        const line = lineOf(all, capability);
        const ancestors = all.filter(({ id }) => line.includes(id));
        const now = elapsed + Math.max(0, at - latest);
        const result = charge(ledger, [capability], find, at);
        // Plain data: what was stored and read again decides alike.
        assert.equal(charge(JSON.parse(JSON.stringify(ledger)) as Ledger, [capability], find, at), result);
        if (result.ok) {
          assert.equal(
            ancestors.flatMap((ancestor) => reached(uses, ancestor, now, 0)),
            [],
          );
          uses.push({ id: capability.id, line, elapsed: now, charged: result.charged, live: true });
          // What nothing is charged for leaves no time behind.
          if (result.charged.length > 0) [elapsed, latest] = [now, at];
          ledger = frozen(result.ledger);
          assert.equal(JSON.parse(JSON.stringify(ledger)), ledger);
        } else {
          const why = ancestors.flatMap((ancestor) => reached(uses, ancestor, now, MINUTE));
          assert.ok(why.includes(String(result.problem.reason)), `${result.problem.reason} of ${why.join()}`);
          if (result.problem.reason !== 'exhausted') assert.not(why.includes('exhausted'));
        }
      }
      for (const { id, constraints } of all) {
        const times = uses.filter(({ line }) => line.includes(id)).map((use) => use.elapsed);
        assert.ok(times.length <= (constraints.max_operations ?? Infinity));
        for (const from of times) {
          const within = times.filter((time) => time >= from && time - from < HOUR).length;
          assert.ok(within <= (constraints.rate_limit ?? Infinity), `${within} in an hour`);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('a refusal charges nobody, a charge every limited one of the line, once', () => {
  const family = fc.tuple(limits, limits, limits, limits, limits).map(familyOf);
  fc.assert(
    fc.property(family, fc.array(fc.nat(4), { maxLength: 30 }), (all, order) => {
      let ledger = EMPTY_LEDGER;
      for (const index of order) {
        const before = JSON.stringify(ledger);
        const result = charge(ledger, all.slice(index, index + 1), finder(all), START);
        assert.is(JSON.stringify(ledger), before);
        if (!result.ok) continue;
        for (const { id, constraints } of all) {
          const more = result.charged.includes(id) ? 1 : 0;
          assert.is(result.ledger.meters[id]?.used ?? 0, (ledger.meters[id]?.used ?? 0) + more);
          assert.is(result.ledger.meters[id]?.running ?? 0, (ledger.meters[id]?.running ?? 0) + more);
          const limited = Object.keys(constraints).length > 0;
          assert.is(more === 1, limited && lineOf(all, all[index] ?? capabilityOf()).includes(id));
        }
        ({ ledger } = result);
      }
    }),
  );
});

test('after retry_after it is charged, and not much earlier', () => {
  const times = fc.array(fc.integer({ min: 0, max: 2 * HOUR }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(times, fc.integer({ min: 1, max: 5 }), (offsets, rate_limit) => {
      const use = one({ rate_limit });
      let ledger = EMPTY_LEDGER;
      for (const offset of offsets.toSorted((a, b) => a - b)) {
        const result = use(ledger, START + offset);
        if (result.ok) {
          ({ ledger } = result);
          continue;
        }
        const wait = (result.problem.retry_after ?? 0) * 1_000;
        assert.ok(wait >= 1_000 && wait <= HOUR + MINUTE);
        charged(use(ledger, START + offset + wait));
        assert.not(use(ledger, START + offset + wait - 1_000).ok);
      }
    }),
  );
});

test.run();
