import { z } from 'zod';
import { EVENT_TYPES, type EventType } from '../../machines/event.ts';
import { eventSchema } from '../../machines/event-schema.ts';
import { idSchema } from '../../machines/id-schema.ts';
import { defineOperation } from './operation.ts';

const known: ReadonlySet<string> = new Set(EVENT_TYPES);

/** Types of events, comma-separated or as an array. */
export const eventTypesSchema = z
  .union([z.string().max(2000), z.array(z.string()).max(EVENT_TYPES.length)])
  .transform((types) => (typeof types === 'string' ? types.split(',') : types))
  .refine((types): types is EventType[] => types.length > 0 && types.every((type) => known.has(type)), {
    error: `types of events: ${EVENT_TYPES.join(', ')}`,
  });

/** Events in `seq` order; `next` is the `after` of the next page, null where nothing follows yet. */
const eventPageSchema = z.object({ events: z.array(eventSchema), next: z.int().nullable() });

export const eventsList = defineOperation({
  name: 'events.list',
  summary: 'Replays the events of a session after a `seq`; as a stream it then follows',
  input: z.strictObject({
    session_id: idSchema('session'),
    after: z.int('a whole number').min(0, 'a seq, from 0').default(0),
    limit: z.int('a whole number').min(1, 'a number from 1').max(1000, 'a number up to 1000').default(1000),
    types: eventTypesSchema.optional(),
  }),
  output: eventPageSchema,
  sight: 'session',
  right: 'read',
  http: {
    method: 'GET',
    path: '/v1/sessions/{session_id}/events',
    query: { after: 'number', limit: 'number', types: 'text' },
    answers: { 200: eventPageSchema },
    stream: true,
  },
  errors: ['security_violation', 'not_found', 'cursor_expired'],
});
