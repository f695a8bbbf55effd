import { ProblemError, problem, type Problem } from '../../machines/error.ts';
import type { EventType } from '../../machines/event.ts';
import type { NewWebhook } from '../../machines/webhook-message.ts';
import type { GatewayContext } from './context.ts';
import { newWebhookSecret } from './secret-box.ts';

/** A webhook for the ring, with its secret for who asked; or why there is none. */
export type DrawnWebhook =
  | { readonly ok: true; readonly webhook: NewWebhook; readonly secret: string }
  | { readonly ok: false; readonly problem: Problem };

/** What is said of an address, of the field that has it. */
const named = (what: Problem, field: string): Problem =>
  what.errors === undefined
    ? what
    : problem(what.code, what.detail.replace(/^url:/, `${field}:`), {
        errors: what.errors.map((error) => ({ ...error, field })),
      });

const problemOf = (error: unknown, field: string): Problem => {
  if (!(error instanceof ProblemError)) throw error;
  return named(error.problem, field);
};

/** Checks the address and draws id and secret. The secret stays here; sealed it goes round the ring. */
export const drawWebhook = async (
  { system, webhooks: { box, check } }: Pick<GatewayContext, 'system' | 'webhooks'>,
  {
    url,
    types = null,
    field,
  }: { readonly url: string; readonly types?: readonly EventType[] | null; readonly field: string },
): Promise<DrawnWebhook> => {
  try {
    await check.resolve(url);
    const secret = newWebhookSecret();
    const webhook: NewWebhook = {
      webhook_id: system.newId('webhook'),
      url,
      types: types === null ? null : [...new Set(types)],
      sealed: box.seal(secret),
    };
    return { ok: true, webhook, secret };
  } catch (error) {
    return { ok: false, problem: problemOf(error, field) };
  }
};

/** The webhook that a call asks for besides; null where it asks for none. */
export const drawBeside = async (
  context: Pick<GatewayContext, 'system' | 'webhooks'>,
  url: string | undefined,
): Promise<DrawnWebhook | null> => (url === undefined ? null : drawWebhook(context, { url, field: 'webhook_url' }));

/** What goes into the message, and what into the answer, of a webhook that is made besides. */
export const besides = (drawn: Extract<DrawnWebhook, { ok: true }> | null) =>
  drawn === null
    ? { asked: {}, shown: {} }
    : {
        asked: { webhook: drawn.webhook },
        shown: { webhook: { webhook_id: drawn.webhook.webhook_id, secret: drawn.secret } },
      };
