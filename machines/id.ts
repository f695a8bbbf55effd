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

/** The whole text of an id, by kind. */
export const ID_PATTERNS = Object.fromEntries(
  Object.entries(ID_PREFIXES).map(([kind, prefix]) => [kind, new RegExp(`^${prefix}_${BODY}$`)]),
) as Readonly<Record<IdKind, RegExp>>;

/** Whether `text` is a well-formed id of this kind; says nothing about whether such a thing exists. */
export const isId = <K extends IdKind>(kind: K, text: unknown): text is Id<K> =>
  typeof text === 'string' && ID_PATTERNS[kind].test(text);
