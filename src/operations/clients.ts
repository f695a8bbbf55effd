import { z } from 'zod';
import { CLIENT_TYPES } from '../../machines/capability.ts';
import { capabilitySchema } from '../../machines/capability-schema.ts';
import { idSchema } from '../../machines/id-schema.ts';
import { defineOperation } from './operation.ts';
import { PAGE_QUERY, pageFields, pageOf } from './page.ts';
import { newWebhookSchema, webhookUrlSchema } from './webhooks.ts';

const MAX_NAME = 100;

export const clientTypeSchema = z.enum(CLIENT_TYPES, { error: `one of ${CLIENT_TYPES.join(', ')}` });
const clientNameSchema = z.string().min(1, 'a name').max(MAX_NAME, `a name of at most ${MAX_NAME} characters`);

/** What a client is to be: its type decides what it is granted. */
const newClientSchema = z.strictObject({ type: clientTypeSchema, name: clientNameSchema.optional() });

export const clientSchema = z
  .object({
    client_id: z.string(),
    session_id: z.string(),
    type: clientTypeSchema,
    name: z.string().nullable(),
    principal: z.string(),
    via_share: z.string().nullable().meta({ description: 'The share by whose token it has joined' }),
    status: z.enum(['attaching', 'attached', 'detached', 'left']),
    joined_at: z.iso.datetime({ precision: 3 }),
  })
  .meta({ id: 'Client' });
export type Client = z.infer<typeof clientSchema>;

/** What a new client is told, once. `client_token` is its bearer token and its MQTT password. */
export const registrationSchema = z
  .object({
    session_id: z.string(),
    client_id: z.string(),
    client_token: z.string(),
    capabilities: z.array(capabilitySchema),
    event_channel: z.string().meta({ description: 'MQTT topic filter of the events' }),
    state_channel: z.string().meta({ description: 'MQTT topic of the state' }),
    webhook_url: z.string().meta({ description: 'Where webhooks are registered' }),
    webhook: newWebhookSchema.optional(),
  })
  .meta({ id: 'Registration' });
export type Registration = z.infer<typeof registrationSchema>;

/** Registers a webhook of the whole session along. */
export const webhookUrlField = { webhook_url: webhookUrlSchema.optional() };

/** The input fields that say which client; `client_type` is accepted for `client.type`. */
export const newClientFields = {
  client: newClientSchema.optional(),
  client_type: clientTypeSchema.optional().meta({ description: 'Stands for `client.type`' }),
};

interface NewClientInput {
  readonly client?: z.infer<typeof newClientSchema> | undefined;
  readonly client_type?: z.infer<typeof clientTypeSchema> | undefined;
}

/** Reports where `newClientFields` name no client, or two. */
export const checkNewClient = (input: NewClientInput, context: z.RefinementCtx): void => {
  if (input.client === undefined && input.client_type === undefined)
    context.addIssue({ code: 'custom', path: ['client', 'type'], message: `one of ${CLIENT_TYPES.join(', ')}` });
  if (input.client !== undefined && input.client_type !== undefined && input.client.type !== input.client_type)
    context.addIssue({ code: 'custom', path: ['client_type'], message: 'the same as client.type, or nothing' });
};

/** The client that checked `newClientFields` name. */
export const newClientOf = (
  input: NewClientInput,
): { type: z.infer<typeof clientTypeSchema>; name: string | null } => ({
  type: input.client?.type ?? input.client_type ?? 'cli',
  name: input.client?.name ?? null,
});

/** The token is shown once: a repeated request id is answered without it. */
const registeredSchema = registrationSchema
  .extend({ client_token: z.string().optional() })
  .meta({ id: 'RepeatedRegistration' });

export const clientsRegister = defineOperation({
  name: 'clients.register',
  summary: 'Adds a client to a session',
  input: z
    .strictObject({ session_id: idSchema('session'), ...newClientFields, ...webhookUrlField })
    .superRefine(checkNewClient),
  output: registeredSchema,
  sight: 'session',
  right: 'owner',
  http: { method: 'POST', path: '/v1/sessions/{session_id}/clients', answers: { 201: registeredSchema } },
  errors: ['security_violation', 'not_found', 'conflict', 'address_refused', 'not_configured', 'read_only'],
});

const clientPageSchema = pageOf(clientSchema);

export const clientsList = defineOperation({
  name: 'clients.list',
  summary: 'Lists the clients of a session in order of id',
  input: z.strictObject({ session_id: idSchema('session'), ...pageFields }),
  output: clientPageSchema,
  sight: 'session',
  right: 'read',
  http: {
    method: 'GET',
    path: '/v1/sessions/{session_id}/clients',
    query: PAGE_QUERY,
    answers: { 200: clientPageSchema },
  },
  errors: ['security_violation', 'not_found'],
});

const clientLeftSchema = z.object({ client_id: z.string(), status: z.literal('left') });

export const clientsLeave = defineOperation({
  name: 'clients.leave',
  summary: 'Takes a client out of its session: its token and connections end',
  input: z.strictObject({ session_id: idSchema('session'), client_id: idSchema('client') }),
  output: clientLeftSchema,
  sight: 'session',
  right: 'owner_or_self',
  http: {
    method: 'DELETE',
    path: '/v1/sessions/{session_id}/clients/{client_id}',
    answers: { 200: clientLeftSchema },
  },
  errors: ['security_violation', 'not_found', 'read_only'],
});
