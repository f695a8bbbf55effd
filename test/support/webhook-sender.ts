import { mkdtempSync, rmSync } from 'node:fs';
import type { LookupAddress } from 'node:dns';
import { isIPv6 } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAddressCheck } from '../../src/gateway/address-check.ts';
import { newWebhookSecret, openSecretBox } from '../../src/gateway/secret-box.ts';
import {
  type AttemptResult,
  createWebhookSender,
  type WebhookAttempt,
  type WebhookLimits,
} from '../../src/gateway/webhook-sender.ts';
import { within } from './mqtt-wire.ts';

const directory = mkdtempSync(join(tmpdir(), 'arbor-sender-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));

/** Under one key, so that what one test seals another opens. */
export const box = openSecretBox(directory);
export const secret = newWebhookSecret();
const sealed = box.seal(secret);

export interface SenderScene {
  readonly limits?: Partial<WebhookLimits>;
  /** Default 127.0.0.1 alone. */
  readonly allow?: readonly string[];
  /** The addresses of a name, each time it is asked for; default none. */
  readonly addressesOf?: (host: string) => readonly string[];
  readonly clock?: () => number;
}

/** A sender that may call 127.0.0.1, and fills in what an attempt does not say. */
export const startSender = (scene: SenderScene = {}) => {
  const { limits = {}, allow = ['127.0.0.1/32'], addressesOf = () => [], clock = Date.now } = scene;
  const lookup = (host: string): Promise<LookupAddress[]> =>
    Promise.resolve(addressesOf(host).map((address) => ({ address, family: isIPv6(address) ? 6 : 4 })));
  const sender = createWebhookSender({ box, check: createAddressCheck({ allow, lookup }), limits, clock });
  return {
    send: (attempt: Partial<WebhookAttempt> & { readonly url: string }): Promise<AttemptResult> =>
      within(
        'result of an attempt',
        sender.send({ id: 'evt_1-whk_1', endpoint: 'whk_1', secrets: [sealed], body: '{"a":1}', ...attempt }),
      ),
    close: (graceMs: number) => within('end of the sender', sender.close(graceMs)),
  };
};
