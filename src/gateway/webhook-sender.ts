import type { AddressCheck } from './address-check.ts';
import { createFairQueue } from './fair-queue.ts';
import type { SecretBox } from './secret-box.ts';
import { attemptWebhook, failedAttempt, type AttemptResult, type WebhookAttempt } from './webhook-attempt.ts';

export type { AttemptResult, WebhookAttempt } from './webhook-attempt.ts';

export interface WebhookLimits {
  /** Attempts of one endpoint under way at a time. Default 4. */
  readonly perEndpoint: number;
  /** Attempts under way at a time, in all. Default 256. */
  readonly total: number;
  /** From when an attempt's turn comes to its end, look-ups and redirects included. Default 10,000. */
  readonly timeoutMs: number;
  /** Bytes of one answer that are read, its head included. Default 16 KiB. */
  readonly responseBytes: number;
  /** Redirects that one attempt follows. Default 3. */
  readonly redirects: number;
}

const DEFAULT_LIMITS: WebhookLimits = {
  perEndpoint: 4,
  total: 256,
  timeoutMs: 10_000,
  responseBytes: 16_384,
  redirects: 3,
};

export interface WebhookSenderOptions {
  readonly box: SecretBox;
  readonly check: AddressCheck;
  readonly limits?: Partial<WebhookLimits>;
  /** Milliseconds since the epoch, for the timestamps that are signed. */
  readonly clock: () => number;
}

/** The reason of what was not sent, or not to its end, because the sender was closed: no fault of the endpoint. */
export const SENDER_CLOSED = 'closed';

/** Makes attempts to deliver webhooks (contract, section 9); when to try again is the caller's matter. */
export interface WebhookSender {
  /**
   * Makes one attempt and resolves to what came of it; never rejects. Attempts wait by endpoint for one of its places,
   * and endpoints take turns: a slow one delays no other, unless so many are slow that all places are taken, which
   * come free within `timeoutMs`. Attempts of one endpoint begin in the order they were given. The queue holds whatever
   * is given to it: it is bounded by what the caller has in flight.
   */
  send(attempt: WebhookAttempt): Promise<AttemptResult>;
  /**
   * Takes no more: what waits and what comes resolves as `SENDER_CLOSED` at once, what is under way as well after
   * `graceMs`. Resolves when nothing is under way.
   */
  close(graceMs: number): Promise<void>;
}

/** A sender whose connections are made to checked addresses alone, one for each request. */
export const createWebhookSender = ({ box, check, limits, clock }: WebhookSenderOptions): WebhookSender => {
  const { perEndpoint, total, timeoutMs, responseBytes, redirects } = { ...DEFAULT_LIMITS, ...limits };
  const queue = createFairQueue({ perKey: perEndpoint, total });
  const underWay = new Map<AbortController, Promise<void>>();
  let isClosed = false;

  const attempted = async (attempt: WebhookAttempt, controller: AbortController): Promise<AttemptResult> => {
    const timer = setTimeout(() => controller.abort('timed_out'), timeoutMs);
    const options = { box, check, answerBytes: responseBytes, redirects, clock };
    try {
      return await attemptWebhook(attempt, controller.signal, options);
    } catch {
      // What the request was refused for before it was made: an id that is no header, for one.
      return failedAttempt('failed');
    } finally {
      clearTimeout(timer);
    }
  };

  return {
    send: (attempt) => {
      const { promise, resolve } = Promise.withResolvers<AttemptResult>();
      const drop = (): void => resolve(failedAttempt(SENDER_CLOSED));
      const start = async (): Promise<void> => {
        const controller = new AbortController();
        const ended = attempted(attempt, controller).then(resolve);
        underWay.set(controller, ended);
        await ended;
        underWay.delete(controller);
      };
      if (isClosed) drop();
      else queue.add(attempt.endpoint, { start, drop });
      return promise;
    },
    close: async (graceMs) => {
      isClosed = true;
      queue.clear();
      const timer = setTimeout(() => {
        for (const controller of underWay.keys()) controller.abort(SENDER_CLOSED);
      }, graceMs);
      await Promise.all(underWay.values());
      clearTimeout(timer);
    },
  };
};
