import type { AccessPolicy, InitialPublication } from './access.ts';
import type { Peer } from './peer.ts';

/** Resolves with nothing when the policy has not answered in time, so that no subscription is left half made. */
const within = (
  asked: Promise<readonly InitialPublication[]>,
  deadlineMs: number,
): Promise<readonly InitialPublication[]> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the initial publications did not come in time')), deadlineMs);
    asked.then(resolve, reject).finally(() => clearTimeout(timer));
  });

/**
 * Sends one client what it is to know first on a filter just granted. Such a publication is computed, not retained;
 * it bears the retain flag as a retained one would [MQTT-3.3.1-8]. It passes the same checks as any delivery.
 */
export const sendInitial = async (
  peer: Peer,
  policy: AccessPolicy,
  filter: string,
  deadlineMs: number,
  onError: (error: unknown) => void,
): Promise<void> => {
  const { connection } = peer;
  if (connection === null || policy.initial === undefined) return;
  try {
    const publications = await within(policy.initial(connection, filter), deadlineMs);
    for (const { topic, payload, qos = 0 } of publications) {
      if (peer.client.closed || !peer.granted.has(filter)) return;
      const bytes = typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(payload);
      // Without the broker's counter, so that it is taken for no repetition of a publication.
      peer.deliver({ cmd: 'publish', topic, payload: bytes, qos, retain: true, brokerId: null }, () => {});
    }
  } catch (error) {
    onError(error);
  }
};
