import { Webhook } from 'standardwebhooks';
import type { AddressCheck } from './address-check.ts';
import type { SecretBox } from './secret-box.ts';
import { postWebhook, type WebhookAnswer } from './webhook-request.ts';

export interface WebhookAttempt {
  /** The header `webhook-id`: the same for every attempt to bring this event to this endpoint. Holds no `.`. */
  readonly id: string;
  /** The `whk_` id; places are shared out by it. */
  readonly endpoint: string;
  readonly url: string;
  /** Sealed; one, or two while a rotation lasts. Each of them signs. */
  readonly secrets: readonly string[];
  /** JSON, sent as it is. */
  readonly body: string;
}

/**
 * What came of an attempt. `status` is that of the last answer, null where there was none. `reason` is a word, with the
 * error's code where the connection failed; it holds no address and no secret:
 * `status`, `redirect_refused`, `too_many_redirects`, `address_refused`, `connection_failed (ECONNREFUSED)`, `timed_out`,
 * `answer_too_large`, `answer_cut_off`, `answer_malformed`, `secret_unreadable`, `failed`, and `closed`.
 */
export type AttemptResult =
  | { readonly ok: true; readonly status: number }
  | {
      readonly ok: false;
      readonly status: number | null;
      readonly reason: string;
      /** What a 429 or 503 asked for: at most an hour. */
      readonly retryAfterMs: number | null;
    };

export interface AttemptOptions {
  readonly box: SecretBox;
  readonly check: AddressCheck;
  readonly answerBytes: number;
  readonly redirects: number;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

const MAX_RETRY_AFTER_MS = 3_600_000;

export const failedAttempt = (reason: string, status: number | null = null): AttemptResult => ({
  ok: false,
  status,
  reason,
  retryAfterMs: null,
});

/** `Retry-After` (RFC 9110, 10.2.3), in seconds or as a date, in milliseconds; null where it is neither. */
const retryAfterMs = (value: string | undefined, now: number): number | null => {
  if (value === undefined) return null;
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isNaN(wait) ? null : Math.min(Math.max(wait, 0), MAX_RETRY_AFTER_MS);
};

/** The headers of Standard Webhooks 1.0.0 for an attempt at this time. Throws where a secret cannot be opened. */
const signedHeaders = ({ id, secrets, body }: WebhookAttempt, box: SecretBox, now: number): Record<string, string> => ({
  'content-type': 'application/json',
  'user-agent': 'arbor-gateway',
  'webhook-id': id,
  'webhook-timestamp': String(Math.floor(now / 1000)),
  'webhook-signature': secrets.map((sealed) => new Webhook(box.open(sealed)).sign(id, new Date(now), body)).join(' '),
});

/**
 * Where an answer sends the same request. Standard Webhooks advises against following at all; of what HTTP has, only 307
 * and 308 keep method and body (RFC 9110, 15.4.8 and 15.4.9), and a GET without the event would prove nothing. Never
 * from https to http: what was said under TLS stays under it.
 */
const redirectOf = ({ status, location }: WebhookAnswer & { ok: true }, from: URL): URL | null => {
  if ((status !== 307 && status !== 308) || location === undefined) return null;
  const to = URL.parse(location, from.href);
  return to === null || (from.protocol === 'https:' && to.protocol !== 'https:') ? null : to;
};

/** Rejects with the signal's reason when it is aborted; a look-up cannot be ended, only left behind. */
const unlessAborted = async <T>(work: Promise<T>, signal: AbortSignal): Promise<T> => {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
};

/**
 * Signs and posts, follows redirects, and says what came of it. Each address is looked up, checked and then connected to
 * as checked, on redirects too. Never rejects; ends when `signal` does, whose reason is the result's.
 */
export const attemptWebhook = async (
  attempt: WebhookAttempt,
  signal: AbortSignal,
  { box, check, answerBytes, redirects, clock }: AttemptOptions,
): Promise<AttemptResult> => {
  let headers: Record<string, string>;
  try {
    headers = signedHeaders(attempt, box, clock());
  } catch {
    return failedAttempt('secret_unreadable');
  }
  let target = attempt.url;
  let last: number | null = null;
  for (let followed = 0; ; followed += 1) {
    const addresses = await unlessAborted(check.resolve(target), signal).catch(() => null);
    if (addresses === null) return failedAttempt(signal.aborted ? String(signal.reason) : 'address_refused', last);
    const url = new URL(target);
    const answer = await postWebhook({ url, addresses, headers, body: attempt.body, signal, answerBytes });
    if (!answer.ok) return failedAttempt(answer.reason, answer.status ?? last);
    const { status } = answer;
    if (status >= 200 && status < 300) return { ok: true, status };
    if (status === 429 || status === 503)
      return { ok: false, status, reason: 'status', retryAfterMs: retryAfterMs(answer.retryAfter, clock()) };
    if (status < 300 || status >= 400) return failedAttempt('status', status);
    const next = redirectOf(answer, url);
    if (next === null) return failedAttempt('redirect_refused', status);
    if (followed >= redirects) return failedAttempt('too_many_redirects', status);
    target = next.href;
    last = status;
  }
};
