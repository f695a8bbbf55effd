import * as assert from 'uvu/assert';
import type { DeliveryContext } from '../../machines/delivery.ts';
import { SESSION_LIMITS } from '../../machines/session-context.ts';
import type { WebhookContext } from '../../machines/webhook.ts';
import { actorsOf } from './session-laws.ts';
import type { TestSession } from './session.ts';

/**
 * What holds of the endpoints of a session after every message: the session knows the live ones, each counts what is
 * pending for it, and one that has ended has nothing pending. `silent` has how much was ever meant for those that are
 * deleted, which never grows.
 */
export const createWebhookLaws = (one: TestSession): (() => void) => {
  const silent = new Map<string, number>();
  return () => {
    const all = actorsOf<WebhookContext>(one, 'webhook');
    if (all.length === 0) return;
    const deliveries = actorsOf<DeliveryContext>(one, 'delivery');
    const live = all.filter(({ value, live: isLive }) => isLive && value === 'live').map(({ id }) => id);
    if (!one.isOver()) assert.equal(Object.keys(one.context().webhooks).toSorted(), live.toSorted());
    assert.ok(live.length <= SESSION_LIMITS.webhooks);
    for (const { id, value, context, live: isLive } of all) {
      const own = deliveries.filter((each) => each.context.webhook_id === id);
      const pending = own.filter((each) => each.live && each.context.counted).length;
      if (isLive) assert.is(context.pending, pending, `${id} counts what is pending`);
      if (value === 'ended') assert.is(pending, 0, `${id} ends after its deliveries`);
      if (value !== 'deleted') continue;
      const attempts = one.ring.attempts.filter(({ webhook_id }) => webhook_id === id).length;
      const before = silent.get(id) ?? own.length + attempts;
      assert.is(own.length + attempts, before, `${id} is deleted and gets nothing more`);
      silent.set(id, before);
    }
  };
};
