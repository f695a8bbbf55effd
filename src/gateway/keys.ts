import { randomBytes } from 'node:crypto';
import type { StoredKey } from '../../actors/journal.ts';
import type { ClientId, ShareId } from '../../machines/id.ts';
import { drawSecret, sha256 } from './secrets.ts';

export interface NewApiKey {
  readonly principal: string;
  readonly operator: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Draws an API key. `key` is shown once; `stored` is what the key store keeps. */
export const createApiKey = ({ principal, operator, now }: NewApiKey): { key: string; stored: StoredKey } => {
  const id = `ark_${randomBytes(10).toString('hex')}`;
  const key = `${id}.${drawSecret()}`;
  return { key, stored: { id, principal, operator, hash: sha256(key), created_at: now, revoked_at: null } };
};

/** Draws the token of a client. */
export const createClientToken = (client: ClientId): { token: string; hash: string } => {
  const token = `${client}.${drawSecret()}`;
  return { token, hash: sha256(token) };
};

/** Draws the token of a share. */
export const createShareToken = (share: ShareId): { token: string; hash: string } => {
  const token = `${share}.${drawSecret()}`;
  return { token, hash: sha256(token) };
};

const SHARE_TOKEN = /^(shr_[0-9A-Za-z]{1,40})\.[A-Za-z0-9_-]{43}$/;

/** The share that a token claims to be of; null for anything else. Nothing is checked yet. */
export const parseShareToken = (text: string): ShareId | null =>
  (SHARE_TOKEN.exec(text)?.[1] ?? null) as ShareId | null;

export type Credentials =
  | { readonly kind: 'key'; readonly id: string; readonly text: string }
  | { readonly kind: 'client'; readonly id: ClientId; readonly text: string };

const SHAPE = /^((ark|cli)_[0-9A-Za-z]{1,40})\.[A-Za-z0-9_-]{43}$/;

/** What a bearer token or an MQTT password claims to be; null for anything else. Nothing is checked yet. */
export const parseCredentials = (text: string): Credentials | null => {
  const match = SHAPE.exec(text);
  if (match === null) return null;
  return match[2] === 'ark'
    ? { kind: 'key', id: match[1] as string, text }
    : { kind: 'client', id: match[1] as ClientId, text };
};
