import { Counter, Gauge, type Registry } from 'prom-client';
import type { WebhookDeliveries } from './webhook-deliveries.ts';

/** What becomes of deliveries. */
export interface WebhookMetrics {
  /** An attempt was made. */
  attempted(ok: boolean): void;
  /** A delivery is dead. */
  dead(): void;
  /** Whose depth is shown. */
  observe(deliveries: Pick<WebhookDeliveries, 'depth'>): void;
}

export const createWebhookMetrics = (register: Registry): WebhookMetrics => {
  const registers = [register];
  const attempts = new Counter({
    name: 'arbor_webhook_attempts_total',
    help: 'Attempts to deliver to a webhook, by how they ended',
    labelNames: ['outcome'],
    registers,
  });
  const dead = new Counter({
    name: 'arbor_webhook_dead_total',
    help: 'Deliveries that were given up, those of the events that say so left out',
    registers,
  });
  return {
    attempted: (ok) => attempts.inc({ outcome: ok ? 'succeeded' : 'failed' }),
    dead: () => dead.inc(),
    observe: (deliveries) =>
      void new Gauge({
        name: 'arbor_webhook_deliveries',
        help: 'Attempts that wait for a place or are made; those that wait for a later time are not among them',
        labelNames: ['state'],
        registers,
        collect() {
          for (const [state, count] of Object.entries(deliveries.depth())) this.set({ state }, count);
        },
      }),
  };
};
