import { z } from 'zod';

/**
 * Ids are a prefix and 26 Crockford base32 characters that sort by time of creation (contract, section 1).
 * They are drawn outside the machines, which only carry and compare them.
 */
export const ID_PREFIXES = {
  session: 'ses',
  client: 'cli',
  execution: 'exe',
  coordination: 'crd',
  share: 'shr',
  capability: 'cap',
  webhook: 'whk',
  delivery: 'dlv',
  event: 'evt',
  request: 'req',
} as const;

export type IdKind = keyof typeof ID_PREFIXES;
export type Id<K extends IdKind> = `${(typeof ID_PREFIXES)[K]}_${string}`;

export type SessionId = Id<'session'>;
export type ClientId = Id<'client'>;
export type ExecutionId = Id<'execution'>;
export type CapabilityId = Id<'capability'>;
export type ShareId = Id<'share'>;
export type CoordinationId = Id<'coordination'>;
export type WebhookId = Id<'webhook'>;
export type DeliveryId = Id<'delivery'>;

const BODY = '[0-7][0-9A-HJKMNP-TV-Z]{25}';

const patterns = Object.fromEntries(
  Object.entries(ID_PREFIXES).map(([kind, prefix]) => [kind, new RegExp(`^${prefix}_${BODY}$`)]),
) as Record<IdKind, RegExp>;

/** Whether `text` is a well-formed id of this kind; says nothing about whether such a thing exists. */
export const isId = <K extends IdKind>(kind: K, text: unknown): text is Id<K> =>
  typeof text === 'string' && patterns[kind].test(text);

/** The zod schema of an id of this kind, for the edge. */
export const idSchema = <K extends IdKind>(kind: K) =>
  z
    .string()
    .regex(patterns[kind], `an id of the form ${ID_PREFIXES[kind]}_ and 26 characters`)
    .transform((text) => text as Id<K>);
