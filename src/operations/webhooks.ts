import { z } from 'zod';
import { EVENT_TYPES } from '../../machines/event.ts';
import { idSchema } from '../../machines/id-schema.ts';
import { defineOperation } from './operation.ts';
import { PAGE_QUERY, pageFields, pageOf } from './page.ts';

const MAX_URL = 2_048;

/** Where events are sent; which addresses may be called is the server's configuration. */
export const webhookUrlSchema = z
  .string('an http: or https: address')
  .min(1, 'an http: or https: address')
  .max(MAX_URL, `an address of at most ${MAX_URL} characters`);

/** What an answer says of the webhook that was made along with it. A repeat of the call is answered without it. */
export const newWebhookSchema = z
  .object({ webhook_id: z.string(), secret: z.string() })
  .meta({ id: 'NewWebhook', description: 'The secret that signs (Standard Webhooks); it is shown once' });

const timeSchema = z.iso.datetime({ precision: 3 });
const typeSchema = z.enum(EVENT_TYPES, { error: 'a type of event' });

const webhookSchema = z
  .object({
    webhook_id: z.string(),
    session_id: z.string(),
    url: z.string(),
    types: z.array(typeSchema).nullable().meta({ description: 'The events that it hears; null for all' }),
    status: z
      .enum(['live', 'ending', 'ended', 'deleted'])
      .meta({ description: '`ending`: its session or its execution has ended, and something is still pending' }),
    execution_id: z.string().nullable().meta({ description: 'The execution that it is for; null for the session' }),
    /** Deliveries that have not ended. */
    pending: z.int().nonnegative(),
    /** Secrets that sign: two for a day after `rotate`. */
    secrets: z.int().nonnegative(),
    created_by: z.object({ principal: z.string(), client_id: z.string().nullable() }),
    created_at: timeSchema,
  })
  .meta({ id: 'Webhook' });
export type WebhookView = z.infer<typeof webhookSchema>;

/** The secret is shown once: a repeated request id is answered without it. */
const webhookCreatedSchema = z
  .object({
    webhook_id: z.string(),
    session_id: z.string(),
    url: z.string(),
    types: z.array(typeSchema).nullable(),
    secret: z.string().optional(),
  })
  .meta({ id: 'WebhookCreated' });

export const webhooksCreate = defineOperation({
  name: 'webhooks.create',
  summary: 'Registers where events of a session are sent, signed as Standard Webhooks says, at least once each',
  input: z.strictObject({
    session_id: idSchema('session'),
    url: webhookUrlSchema,
    types: z.array(typeSchema).min(1, 'types of events, or nothing for all').max(EVENT_TYPES.length).optional(),
  }),
  output: webhookCreatedSchema,
  sight: 'session',
  right: 'owner',
  http: { method: 'POST', path: '/v1/sessions/{session_id}/webhooks', answers: { 201: webhookCreatedSchema } },
  errors: ['security_violation', 'not_found', 'conflict', 'address_refused', 'not_configured', 'read_only'],
});

const webhookPageSchema = pageOf(webhookSchema);

export const webhooksList = defineOperation({
  name: 'webhooks.list',
  summary: 'Lists the webhooks of a session in order of id, also those that have ended',
  input: z.strictObject({ session_id: idSchema('session'), ...pageFields }),
  output: webhookPageSchema,
  sight: 'session',
  right: 'owner',
  http: {
    method: 'GET',
    path: '/v1/sessions/{session_id}/webhooks',
    query: PAGE_QUERY,
    answers: { 200: webhookPageSchema },
  },
  errors: ['security_violation', 'not_found'],
});

const webhookDeletedSchema = z.object({ webhook_id: z.string(), status: z.literal('deleted') });

export const webhooksDelete = defineOperation({
  name: 'webhooks.delete',
  summary: 'Deletes a webhook; what is pending for it is not delivered any more',
  input: z.strictObject({ webhook_id: idSchema('webhook') }),
  output: webhookDeletedSchema,
  sight: 'webhook',
  right: 'owner',
  http: { method: 'DELETE', path: '/v1/webhooks/{webhook_id}', answers: { 200: webhookDeletedSchema } },
  errors: ['security_violation', 'not_found', 'conflict', 'read_only'],
});

const webhookRotatedSchema = z
  .object({
    webhook_id: z.string(),
    secret: z.string().optional(),
    old_valid_until: timeSchema.meta({ description: 'Until then both secrets sign' }),
  })
  .meta({ id: 'WebhookRotated' });

export const webhooksRotate = defineOperation({
  name: 'webhooks.rotate',
  summary: 'Gives a webhook a new secret; the one before signs as well for a day',
  input: z.strictObject({ webhook_id: idSchema('webhook') }),
  output: webhookRotatedSchema,
  sight: 'webhook',
  right: 'owner',
  http: { method: 'POST', path: '/v1/webhooks/{webhook_id}/rotate', answers: { 200: webhookRotatedSchema } },
  errors: ['security_violation', 'not_found', 'conflict', 'not_configured', 'read_only'],
});

const deliveryStatusSchema = z.enum(['attempting', 'waiting', 'delivered', 'dead', 'cancelled'], {
  error: 'attempting, waiting, delivered, dead or cancelled',
});

const deliverySchema = z
  .object({
    delivery_id: z.string().meta({ description: 'Also the `webhook-id` of each attempt' }),
    webhook_id: z.string(),
    event_seq: z.int(),
    event_type: z.string(),
    status: deliveryStatusSchema,
    attempts: z.int().nonnegative(),
    last_status: z.int().nullable().meta({ description: 'HTTP status of the last attempt; null where none came' }),
    reason: z.string().nullable().meta({ description: 'Why the last attempt failed' }),
    created_at: timeSchema,
    attempted_at: timeSchema.nullable(),
    next_attempt_at: timeSchema.nullable(),
    ended_at: timeSchema.nullable(),
  })
  .meta({ id: 'Delivery' });
export type DeliveryView = z.infer<typeof deliverySchema>;

const deliveryPageSchema = pageOf(deliverySchema);

export const deliveriesList = defineOperation({
  name: 'deliveries.list',
  summary: 'Lists the deliveries of a webhook in order of id; those that are dead can be redelivered',
  input: z.strictObject({
    webhook_id: idSchema('webhook'),
    status: deliveryStatusSchema.optional(),
    ...pageFields,
  }),
  output: deliveryPageSchema,
  sight: 'webhook',
  right: 'owner',
  http: {
    method: 'GET',
    path: '/v1/webhooks/{webhook_id}/deliveries',
    query: { ...PAGE_QUERY, status: 'text' },
    answers: { 200: deliveryPageSchema },
  },
  errors: ['security_violation', 'not_found'],
});

const redeliveredSchema = z.object({ delivery_id: z.string(), status: z.literal('attempting') });

export const deliveriesRedeliver = defineOperation({
  name: 'deliveries.redeliver',
  summary: 'Begins a delivery anew that has ended, with the same `webhook-id`; 409 while it is under way',
  input: z.strictObject({ delivery_id: idSchema('delivery') }),
  output: redeliveredSchema,
  sight: 'delivery',
  right: 'owner',
  http: { method: 'POST', path: '/v1/deliveries/{delivery_id}/redeliver', answers: { 202: redeliveredSchema } },
  errors: ['security_violation', 'not_found', 'conflict', 'read_only'],
});
