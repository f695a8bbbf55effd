/** What the audit records (contract, section 6 and promise 15). */
export const AUDIT_TYPES = [
  /** A command of high risk, or one that asks for it, was accepted or refused. */
  'command_accepted',
  'command_refused',
  'share_created',
  'share_revoked',
  'client_joined',
  'capability_revoked',
  /** A 403, merged by client and reason within a second. */
  'access_refused',
  /** A 401, and a 404 for something out of sight, merged by address and minute. */
  'login_failed',
  'not_found',
  'key_created',
  'key_revoked',
  /** The first use of a key from an address in an hour. */
  'key_used',
  'operator_subscribed',
] as const;
export type AuditType = (typeof AUDIT_TYPES)[number];

/** One record before it has a number; absent parts are null. Never holds a secret. */
export interface AuditEntry {
  readonly type: AuditType;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly session_id: string | null;
  readonly principal: string | null;
  readonly client_id: string | null;
  readonly data: Readonly<Record<string, unknown>>;
}
