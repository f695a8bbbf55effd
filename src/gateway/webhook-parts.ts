import { ProblemError } from '../../machines/error.ts';
import type { AddressCheck } from './address-check.ts';
import type { SecretBox } from './secret-box.ts';

/** What it takes to register webhooks. */
export interface WebhookParts {
  readonly box: SecretBox;
  readonly check: AddressCheck;
}

const notConfigured = (): never => {
  throw new ProblemError('not_configured', 'this server sends no webhooks');
};

/** Of a server that sends none. */
export const NO_WEBHOOKS: WebhookParts = {
  box: { seal: notConfigured, open: notConfigured },
  check: { resolve: async () => notConfigured() },
};
