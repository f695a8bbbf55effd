import { z } from 'zod';
import { EVENT_TYPES } from './event-type.ts';

/** Who and what a fact comes from; absent parts are null. */
const eventMetadataSchema = z.object({
  source: z.string(),
  severity: z.enum(['debug', 'info', 'warning', 'error']),
  principal: z.string().nullable(),
  client_id: z.string().nullable(),
  correlation_id: z.string().nullable(),
  causation_id: z.string().nullable(),
  traceparent: z.string().nullable(),
});

/** One fact of a session's log. `seq` is dense and strictly increasing per session, from 1. */
export const eventSchema = z
  .object({
    id: z.string(),
    seq: z.int().positive(),
    session_id: z.string(),
    type: z.enum(EVENT_TYPES),
    timestamp: z.iso.datetime({ precision: 3 }),
    data: z.record(z.string(), z.unknown()),
    metadata: eventMetadataSchema,
  })
  .meta({ id: 'Event' });
export type Event = z.infer<typeof eventSchema>;
