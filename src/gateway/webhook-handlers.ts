import type { StoredActor } from '../../actors/reads.ts';
import { deliveryAddress, sessionAddress, webhookAddress } from '../../machines/address.ts';
import type { DeliveryContext } from '../../machines/delivery.ts';
import { problem } from '../../machines/error.ts';
import { timestamp } from '../../machines/event.ts';
import type { DeliveryId, WebhookId } from '../../machines/id.ts';
import type { WebhookContext } from '../../machines/webhook.ts';
import type { DeliveryView, WebhookView } from '../operations/webhooks.ts';
import { answer, refuse, type CallResult, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';
import { envelope } from './envelope.ts';
import { drawWebhook } from './new-webhook.ts';
import { newWebhookSecret } from './secret-box.ts';

/** Deliveries that one call looks at where only those with a status are asked for; then it answers with `next`. */
const LOOKED_AT = 5_000;

const webhookView = ({ state, context }: StoredActor): WebhookView => {
  const { webhook_id, session_id, url, types, secrets, created_by, execution_id, pending, created_at } =
    context as unknown as WebhookContext;
  return {
    webhook_id,
    session_id,
    url,
    types: types === null ? null : [...types],
    // One that was given up takes nothing any more.
    status: state === 'failed' ? 'ended' : (state as WebhookView['status']),
    execution_id,
    pending: state === 'deleted' ? 0 : pending,
    secrets: secrets.length,
    created_by,
    created_at: timestamp(created_at ?? 0),
  };
};

const timeOf = (ms: number | null): string | null => (ms === null ? null : timestamp(ms));

const deliveryView = ({ state, context }: StoredActor): DeliveryView => {
  const { delivery_id, webhook_id, seq, event_type, attempts, last_status, reason, ...times } =
    context as unknown as DeliveryContext;
  return {
    delivery_id,
    webhook_id,
    event_seq: seq,
    event_type,
    status: state === 'failed' ? 'dead' : (state as DeliveryView['status']),
    attempts,
    last_status,
    reason,
    created_at: timestamp(times.created_at ?? 0),
    attempted_at: timeOf(times.attempted_at),
    next_attempt_at: timeOf(times.deadline),
    ended_at: timeOf(times.ended_at),
  };
};

const over = (): CallResult => refuse(problem('conflict', 'the webhook has ended'));

type Answered = `${'webhooks' | 'deliveries'}.${string}` & keyof Handlers;

export const webhookHandlers = (context: GatewayContext): Pick<Handlers, Answered> => {
  const { system, webhooks } = context;
  return {
    'webhooks.create': async ({ session_id, url, types }, call) => {
      const drawn = await drawWebhook(context, { url, types: types ?? null, field: 'url' });
      if (!drawn.ok) return drawn;
      const { webhook, secret } = drawn;
      const { caller } = call.authority;
      const created = await system.ask(
        envelope(call, sessionAddress(session_id), { type: 'session.webhook', caller, webhook }),
      );
      if (!created.ok) return created;
      // A repeated request is answered with the webhook of the first, whose secret was shown then.
      return answer(created.body['webhook_id'] === webhook.webhook_id ? { ...created.body, secret } : created.body);
    },

    'webhooks.list': async ({ session_id, after, limit }) => {
      const page = after === undefined ? { limit } : { after, limit };
      const items = (await system.reads.actors(session_id, 'webhook', page)).map(webhookView);
      return answer({ items, next: items.length < limit ? null : (items.at(-1)?.webhook_id ?? null) });
    },

    'webhooks.delete': async ({ webhook_id }, call) => {
      if (call.subject.done) return over();
      return system.ask(
        envelope(call, webhookAddress(call.subject.session, webhook_id), { type: 'webhook.end', reason: 'deleted' }),
      );
    },

    'webhooks.rotate': async ({ webhook_id }, call) => {
      if (call.subject.done) return over();
      const secret = newWebhookSecret();
      const rotated = await system.ask(
        envelope(call, webhookAddress(call.subject.session, webhook_id), {
          type: 'webhook.rotate',
          sealed: webhooks.box.seal(secret),
          asked: call.requestId,
        }),
      );
      if (!rotated.ok) return rotated;
      const { asked, old_until } = rotated.body as { asked: string; old_until: number };
      // A repeated request has rotated once, and the secret was shown then.
      const shown = asked === call.requestId ? { secret } : {};
      return answer({ webhook_id, ...shown, old_valid_until: timestamp(old_until) });
    },

    'deliveries.list': async ({ webhook_id, status, after, limit }) => {
      const items: DeliveryView[] = [];
      let cursor = after;
      for (let looked = 0; ; ) {
        const page = await system.reads.labelled(
          'delivery',
          webhook_id,
          cursor === undefined ? { limit } : { after: cursor, limit },
        );
        for (const stored of page) {
          if (items.length === limit) break;
          cursor = stored.id;
          const view = deliveryView(stored);
          if (status === undefined || view.status === status) items.push(view);
        }
        looked += page.length;
        if (page.length < limit && items.length < limit) return answer({ items, next: null });
        if (items.length === limit || looked >= LOOKED_AT) return answer({ items, next: cursor ?? null });
      }
    },

    'deliveries.redeliver': async ({ delivery_id }, call) => {
      const { session, done, context: stored } = call.subject;
      if (!done) return refuse(problem('conflict', 'the delivery is under way'));
      const { webhook_id, seq, event_type, attempts, created_at } = stored as unknown as DeliveryContext;
      const webhook = await system.reads.find('webhook', webhook_id);
      if (webhook === null || webhook.state === 'deleted')
        return refuse(problem('conflict', 'the webhook of the delivery is deleted'));
      return system.ask(
        envelope(
          call,
          deliveryAddress(session, delivery_id),
          {
            type: 'delivery.open',
            session_id: session,
            delivery_id: delivery_id satisfies DeliveryId,
            webhook_id: webhook_id satisfies WebhookId,
            seq,
            event_type,
            attempts,
            counted: false,
            refused: false,
            ...(created_at === null ? {} : { created_at }),
          },
          { fresh: true },
        ),
      );
    },
  };
};
