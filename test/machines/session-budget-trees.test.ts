import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { executionAddress } from '../../machines/address.ts';
import type { Capability } from '../../machines/capability.ts';
import type { Constraints } from '../../machines/constraint.ts';
import { MAX_DEPTH } from '../../machines/descent.ts';
import { problem } from '../../machines/error.ts';
import type { ClientId, ExecutionId, ShareId } from '../../machines/id.ts';
import { assertLedger } from '../support/session-laws.ts';
import { OWNER, SESSION, createSession, reason } from '../support/session.ts';

const test = suite('session: trees of budgets');

const LIMITS = ['max_operations', 'max_concurrent', 'rate_limit'] as const;
const TIMEOUT = 30_000;

/** A share, as a plain count of what was done under it. */
interface Node {
  readonly share_id: ShareId;
  readonly client_ids: readonly ClientId[];
  readonly parent: Node | null;
  readonly depth: number;
  readonly constraints: Constraints;
  used: number;
  readonly live: Set<ExecutionId>;
}

const lineOf = (node: Node): Node[] => (node.parent === null ? [node] : [node, ...lineOf(node.parent)]);
/** Why one more is refused, with the whole hour at hand: what lasts longest is what is said. */
const shortage = (node: Node): string => {
  const line = lineOf(node);
  const isFull = (limit: (typeof LIMITS)[number], count: (each: Node) => number): boolean =>
    line.some((each) => count(each) >= (each.constraints[limit] ?? Infinity));
  if (isFull('max_operations', ({ used }) => used)) return 'exhausted';
  if (isFull('rate_limit', ({ used }) => used)) return 'rate_limited';
  return isFull('max_concurrent', ({ live }) => live.size) ? 'concurrent' : 'ok';
};

const few = (max: number) => fc.integer({ min: 1, max });
/** Often none, so that a share of a share is granted. */
const limits: fc.Arbitrary<Constraints> = fc.oneof(
  fc.constant({}),
  fc.record({ max_operations: few(12) }),
  fc.record({ max_concurrent: few(6) }),
  fc.record({ rate_limit: few(14) }),
);
/** The latest for 0, mostly one of the latest. */
const which = fc.oneof({ weight: 3, arbitrary: fc.nat(3) }, fc.nat(30));
const actions = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('share' as const), which, limits, clients: fc.constantFrom(1, 1, 2) }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('use' as const), which, reserved: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      which,
      way: fc.constantFrom('completed', 'failed', 'cancelled', 'timed_out', 'given up'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('unshare' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restore' as const), which }) },
);

test('whatever is shared, used, ended and revoked, a plain count decides alike: no child spends more than its parent', () => {
  fc.assert(
    fc.property(fc.array(actions, { minLength: 20, maxLength: 80, size: 'max' }), (steps) => {
      const one = createSession();
      let tree: Node[] = [];
      const running = new Map<ExecutionId, Node>();
      const ended = (id: ExecutionId): void => {
        for (const each of lineOf(running.get(id) as Node)) each.live.delete(id);
        running.delete(id);
      };
      for (const [index, step] of steps.entries()) {
        const node = tree.at(-1 - (step.which % Math.max(1, tree.length)));
        const [id] = [...running.keys()].slice(step.which % Math.max(1, running.size));
        const holder = node?.client_ids[step.which % node.client_ids.length];
        const caller = holder === undefined ? OWNER : one.as(holder);
        if (step.do === 'restore') one.ring.restore();
        else if (step.do === 'share') {
          // Now and then a new tree.
          const parent = step.which % 7 === 6 ? undefined : node;
          const answer = one.share({
            id: `s${index}`,
            caller: parent === undefined ? OWNER : caller,
            constraints: { may_share: true, ...step.limits },
          });
          const beyond = LIMITS.some((name) => (step.limits[name] ?? 0) > (parent?.constraints[name] ?? Infinity));
          if (parent !== undefined && parent.depth >= MAX_DEPTH) assert.is(reason(answer), 'depth');
          else assert.is(answer.ok, !beyond);
          if (!answer.ok) continue;
          const { constraints, depth } = answer.body['capability'] as Capability;
          const client_ids = Array.from({ length: step.clients }, (_, n): ClientId => `cli_s${index}x${n}`);
          const share_id: ShareId = `shr_s${index}`;
          for (const client_id of client_ids) assert.ok(one.join(share_id, client_id.slice(4)).ok);
          const grown = { share_id, client_ids, parent: parent ?? null, depth, constraints, used: 0 };
          tree.push({ ...grown, live: new Set() });
        } else if (step.do === 'use' && node !== undefined) {
          const execution_id: ExecutionId = `exe_u${index}`;
          const { reserved } = step;
          const answer = one.execute({ execution_id, caller, reserved, timeout_ms: TIMEOUT });
          assert.is(reason(answer), shortage(node));
          if (!answer.ok) continue;
          running.set(execution_id, node);
          for (const each of lineOf(node)) {
            each.used += 1;
            each.live.add(execution_id);
          }
        } else if (step.do === 'unshare' && node !== undefined) {
          assert.ok(one.unshare(node.share_id).ok);
          const gone = new Set(tree.filter((each) => lineOf(each).includes(node)));
          tree = tree.filter((each) => !gone.has(each));
          for (const [live, under] of running) if (gone.has(under)) ended(live);
        } else if (step.do === 'end' && id !== undefined) {
          const lost = { type: 'execution.fail', start: 1, retryable: false, artifacts: [] };
          if (step.way === 'completed' || step.way === 'failed') one.agent(id, { type: 'execution.start' });
          if (step.way === 'completed') one.complete(id);
          if (step.way === 'failed') one.agent(id, { ...lost, problem: problem('handler_failed', 'no') } as never);
          if (step.way === 'cancelled') assert.ok(one.cancel(id).ok);
          if (step.way === 'given up') one.ring.fail(executionAddress(SESSION, id));
          if (step.way === 'timed_out') one.ring.advance(TIMEOUT);
          for (const each of step.way === 'timed_out' ? running.keys() : [id]) ended(each);
        }
        assertLedger(one);
        assert.equal(
          one
            .context()
            .executions.map((live) => live.id)
            .toSorted(),
          [...running.keys()].toSorted(),
        );
      }
      const { meters } = one.context().ledger;
      for (const { share_id, used, live } of tree) {
        const meter = meters[one.context().shares[share_id]?.capability.id ?? ''];
        assert.equal([meter?.used ?? 0, meter?.running ?? 0], [used, live.size]);
      }
    }),
    { numRuns: 200 },
  );
});

test.run();
