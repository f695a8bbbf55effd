import * as assert from 'uvu/assert';
import type { Capability } from '../../machines/capability.ts';
import type { ClientContext } from '../../machines/client.ts';
import { lineage } from '../../machines/descent.ts';
import type { ExecutionContext } from '../../machines/execution.ts';
import type { ClientId, ShareId } from '../../machines/id.ts';
import { rootCapability } from '../../machines/decision.ts';
import { SESSION_LIMITS, granted } from '../../machines/session-context.ts';
import type { ShareContext } from '../../machines/share.ts';
import { beyondParent } from './capabilities.ts';
import { HASH, SHARE_HASH } from './session.ts';
import type { TestSession } from './session.ts';

export interface Present<Context> {
  readonly id: string;
  readonly value: string;
  readonly context: Context;
  readonly live: boolean;
}

export const actorsOf = <Context>({ ring }: TestSession, kind: string): Present<Context>[] =>
  [...ring.actors]
    .map(([key, actor]) => ({ path: key.split('/'), actor }))
    .filter(({ path }) => path[1] === kind)
    .map(({ path, actor }) => {
      const { value, context } = actor.standing();
      return { id: path[2] ?? '', value, context: context as unknown as Context, live: !actor.done() };
    });
const executionsOf = (one: TestSession) => actorsOf<ExecutionContext>(one, 'execution');
export const liveIds = (all: readonly Present<unknown>[]) => all.filter(({ live }) => live).map(({ id }) => id);

/** Every capability that there ever was below the root, by id: those that clients and shares were opened with. */
const everGranted = ({ ring }: TestSession): ReadonlyMap<string, Capability> => {
  const all = new Map<string, Capability>();
  for (const { effect } of ring.log) {
    if (effect.type !== 'send') continue;
    const { capability, client } = effect.message as { capability?: Capability; client?: ClientContext };
    for (const each of [...(capability === undefined ? [] : [capability]), ...(client?.capabilities ?? [])])
      all.set(each.id, each);
  }
  return all;
};

/** Who is there, what runs and which shares live is the same for the session as for their own actors. */
const assertOneView = (one: TestSession): void => {
  const { clients, shares, executions, counts } = one.context();
  const [present, sharing] = [actorsOf<ClientContext>(one, 'client'), actorsOf<ShareContext>(one, 'share')];
  const running = executionsOf(one);
  assert.equal(executions.map(({ id }) => id).toSorted(), liveIds(running).toSorted());
  assert.is(counts.queued, running.filter(({ live, value }) => live && value === 'queued').length);
  assert.equal(Object.keys(clients).toSorted(), liveIds(present).toSorted());
  for (const { id, value, context } of present.filter(({ live }) => live)) {
    const known = clients[id as ClientId];
    assert.is(known?.attached, value === 'attached');
    assert.equal(known?.capabilities, context.capabilities, `${id} holds what the session says it holds`);
  }
  assert.equal(Object.keys(shares).toSorted(), liveIds(sharing).toSorted());
  for (const { id, context } of sharing.filter(({ live }) => live)) {
    const { capability, issuer } = context;
    assert.equal(shares[id as ShareId], { capability, issuer });
  }
};

/** Every capability is a subset of its parent, which is there too, and none is over. */
const assertDescent = (one: TestSession): void => {
  const context = one.context();
  const all = granted(context);
  for (const capability of all) {
    const parent =
      capability.parent_id === context.root_capability_id
        ? rootCapability(context, capability.resource_type === 'mcp_tool' ? 'mcp_tool' : 'operations')
        : all.find(({ id }) => id === capability.parent_id);
    assert.ok(parent, `${capability.id} without its parent ${capability.parent_id}`);
    assert.equal(beyondParent(capability, parent), [], capability.id);
    const { expires_at } = capability.constraints;
    if (context.ending === null) assert.ok(expires_at === undefined || Date.parse(expires_at) > one.ring.now);
  }
};

/** What each question was charged to. */
export type Asks = readonly (readonly string[])[];

/**
 * What has been used is what was accepted and asked, and within every budget above it; what runs is what is counted as
 * running.
 */
export const assertLedger = (one: TestSession, asks: Asks = []): void => {
  const context = one.context();
  const { meters } = context.ledger;
  const all = executionsOf(one);
  const here = new Set(granted(context).map(({ id }) => id));
  for (const [id, { used, running }] of Object.entries(meters)) {
    assert.ok(here.has(id), `${id} is metered and gone`);
    const charged = all.filter((execution) => execution.context.charged.includes(id));
    const asked = asks.filter((each) => each.includes(id)).length;
    assert.equal([used, running], [charged.length + asked, charged.filter(({ live }) => live).length], id);
  }
  const ever = everGranted(one);
  const root = rootCapability(context);
  const lines = all.map((execution) => {
    const capability = ever.get(execution.context.capability_id) ?? root;
    const line = lineage(capability, (id) => (id === root.id ? root : ever.get(id)));
    assert.ok(line, `${execution.id} was accepted under ${capability.id}, which descends from nothing`);
    return line ?? [];
  });
  for (const { id, constraints } of ever.values()) {
    const asked = asks.filter((each) => each.includes(id)).length;
    const spent = asked + lines.filter((line) => line.some((each) => each.id === id)).length;
    assert.ok(spent <= (constraints.max_operations ?? Infinity), `${spent} of ${constraints.max_operations} of ${id}`);
  }
  const revoked = new Set(
    one.ring.events.flatMap(({ event, data }) =>
      event === 'capability_revoked' && data['reason'] === 'revoked' ? (data['revoked'] as string[]) : [],
    ),
  );
  for (const [index, { id, live }] of all.entries())
    if (live)
      assert.not(
        lines[index]?.some((each) => revoked.has(each.id)),
        `${id} runs under what was revoked`,
      );
};

/** Nobody is cut before an event has said why, and no hash of a token gets out. */
export const assertTold = (ring: TestSession['ring']): void => {
  const [left, revoked] = [new Set<unknown>(), new Set<unknown>()];
  let isOver = false;
  for (const { effect } of ring.log) {
    if (effect.type === 'event' || effect.type === 'reply' || effect.type === 'audit') {
      const text = JSON.stringify(effect);
      assert.not(text.includes(HASH) || text.includes(SHARE_HASH), text);
    }
    if (effect.type === 'event') {
      const { event, data } = effect;
      if (event === 'client_left') left.add(data['client_id']);
      if (event === 'actor_failed') left.add(data['id']);
      if (event === 'client_left' && data['reason'] === 'revoked') assert.ok(revoked.has(data['client_id']));
      if (event === 'capability_revoked') for (const id of data['cut'] as string[]) revoked.add(id);
      if (event === 'session_closed' || event === 'session_expired') isOver = true;
    }
    if (effect.type === 'cut') assert.ok(isOver || left.has(effect.client_id), `${effect.client_id} is cut unheard`);
  }
};

/** It waits for the next thing that comes by itself, and nobody is waited for longer than the grace time. */
const assertDeadline = (one: TestSession): void => {
  const context = one.context();
  const { deadline, idle_at, lapses_at, ending, clients } = context;
  assert.is(deadline === null, one.isOver(), 'it always has a next deadline until it is over');
  if (ending !== null) return;
  const ends = granted(context).flatMap(({ constraints: { expires_at = null } }) =>
    expires_at === null ? [] : [Date.parse(expires_at)],
  );
  assert.is(lapses_at, ends.length === 0 ? null : Math.min(...ends));
  assert.is(deadline, Math.min(idle_at ?? Infinity, ...ends));
  const isAttended = Object.values(clients).some(({ attached }) => attached);
  if (one.state() === 'suspended') assert.not(isAttended);
  else if (!isAttended) assert.ok((idle_at ?? Infinity) <= one.ring.now + SESSION_LIMITS.grace_ms);
};

/** What holds of a session after every message, whatever went before. */
export const assertLaws = (one: TestSession, asks: Asks = []): void => {
  assertOneView(one);
  assertDescent(one);
  assertLedger(one, asks);
  assertDeadline(one);
};
