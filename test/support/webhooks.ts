import { ProblemError } from '../../machines/error.ts';
import type { WebhookParts } from '../../src/gateway/webhook-parts.ts';

/** Where webhooks of tests lead that nobody calls. */
export const HOOK_URL = 'http://127.0.0.1:9/';

/** Allows every address but those that say otherwise; its seal hides a secret from who looks for it as it is. */
export const testWebhooks: WebhookParts = {
  box: {
    seal: (secret) => Buffer.from(secret).toString('hex'),
    open: (sealed) => Buffer.from(sealed, 'hex').toString(),
  },
  check: {
    resolve: async (url) => {
      if (url.includes('refused'))
        throw new ProblemError('address_refused', 'url: expected another', {
          more: { errors: [{ field: 'url', expected: 'another' }] },
        });
      return [{ address: '192.0.2.1', family: 4 }];
    },
  },
};
