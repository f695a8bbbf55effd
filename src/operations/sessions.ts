import { z } from 'zod';
import { idSchema } from '../../machines/id-schema.ts';
import { coordinationSchema } from '../../machines/question-schema.ts';
import { checkNewClient, clientSchema, newClientFields, registrationSchema, webhookUrlField } from './clients.ts';
import { executionSchema } from './executions.ts';
import { defineOperation } from './operation.ts';
import { PAGE_QUERY, pageFields, pageOf } from './page.ts';

/** Seconds from its last activity after which a session expires, unless `ttl` says otherwise. */
export const DEFAULT_TTL = 7 * 24 * 3600;
const MAX_TTL = 365 * 24 * 3600;

const sessionStatusSchema = z.enum(['active', 'suspended', 'draining', 'closed', 'expired']);

export const sessionSchema = z
  .object({
    session_id: z.string(),
    status: sessionStatusSchema,
    owner: z.string(),
    /** Seconds from the last activity. */
    ttl: z.number(),
    created_at: z.iso.datetime({ precision: 3 }),
    event_channel: z.string(),
    state_channel: z.string(),
  })
  .meta({ id: 'Session' });
export type Session = z.infer<typeof sessionSchema>;

/** The session at one moment: `sessions.get` and the MQTT topic `state` alike. Events after `seq` are news. */
export const sessionStateSchema = sessionSchema
  .extend({
    seq: z.int().nonnegative(),
    /** Those that have not left, in order of id, at most 100. */
    clients: z.array(clientSchema),
    /** Those that have not ended, in order of acceptance, at most 100. */
    executions: z.array(executionSchema.omit({ args: true })),
    /** The open questions, in order of asking, at most 100. */
    coordinations: z.array(coordinationSchema),
  })
  .meta({ id: 'SessionState' });
export type SessionState = z.infer<typeof sessionStateSchema>;

/** What is legal for a client now, by its capability and the session's state, without budgets: the MQTT topic `can`. */
export const canSchema = z
  .object({
    seq: z.int().nonnegative(),
    /** Names of operations. */
    operations: z.array(z.string()),
    /** Names of the commands that it may run. */
    commands: z.array(z.string()),
  })
  .meta({ id: 'Can' });
export type Can = z.infer<typeof canSchema>;

export const sessionsCreate = defineOperation({
  name: 'sessions.create',
  summary: 'Opens a session and its first client',
  input: z
    .strictObject({
      ...newClientFields,
      ...webhookUrlField,
      ttl: z
        .number('a number of seconds')
        .min(1, 'seconds, from 1')
        .max(MAX_TTL, `seconds, up to ${MAX_TTL}`)
        .optional(),
    })
    .superRefine(checkNewClient),
  output: registrationSchema,
  sight: 'none',
  right: 'principal',
  bindings: ['http'],
  http: {
    method: 'POST',
    path: '/v1/sessions',
    answers: { 201: registrationSchema },
    location: ({ session_id }) => `/v1/sessions/${String(session_id)}`,
  },
  errors: ['security_violation', 'address_refused', 'not_configured', 'read_only'],
});

/** As `registrationSchema`, for who came by a share. */
const joinedSchema = registrationSchema
  .omit({ webhook_url: true, webhook: true })
  .extend({ shared: z.literal(true) })
  .meta({ id: 'Joined' });

export const sessionsJoin = defineOperation({
  name: 'sessions.join',
  summary: "Joins a session by the token of a share, with credentials of one's own or without",
  input: z
    .strictObject({ token: z.string('the token of a share').max(200, 'the token of a share'), ...newClientFields })
    .superRefine(checkNewClient),
  output: joinedSchema,
  sight: 'none',
  right: 'share_token',
  bindings: ['http'],
  http: { method: 'POST', path: '/v1/join', answers: { 201: joinedSchema } },
  errors: ['security_violation', 'conflict', 'read_only'],
});

const sessionPageSchema = pageOf(sessionSchema);

export const sessionsList = defineOperation({
  name: 'sessions.list',
  summary: 'Lists the sessions that the principal owns in order of id; for a client at most its own',
  input: z.strictObject({ ...pageFields }),
  output: sessionPageSchema,
  sight: 'none',
  right: 'authenticated',
  http: { method: 'GET', path: '/v1/sessions', query: PAGE_QUERY, answers: { 200: sessionPageSchema } },
});

export const sessionsGet = defineOperation({
  name: 'sessions.get',
  summary: 'Shows a session: its state, clients and live executions',
  input: z.strictObject({ session_id: idSchema('session') }),
  output: sessionStateSchema,
  sight: 'session',
  right: 'read',
  http: { method: 'GET', path: '/v1/sessions/{session_id}', answers: { 200: sessionStateSchema } },
  errors: ['security_violation', 'not_found'],
});

const sessionClosedSchema = z.object({ session_id: z.string(), status: sessionStatusSchema });

export const sessionsClose = defineOperation({
  name: 'sessions.close',
  summary: 'Closes a session: cancels what runs, revokes its capabilities and cuts its clients',
  input: z.strictObject({ session_id: idSchema('session') }),
  output: sessionClosedSchema,
  sight: 'session',
  right: 'owner',
  http: { method: 'DELETE', path: '/v1/sessions/{session_id}', answers: { 200: sessionClosedSchema } },
  errors: ['security_violation', 'not_found', 'conflict', 'read_only'],
});
