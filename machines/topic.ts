import type { ClientId, SessionId } from './id.ts';
import type { Address } from './address.ts';

/** Every topic of the contract's section 3 starts here. */
export const ROOT = 'arbor/v1';

/** Topic of one event: `subject` is what it is about, the session itself where nothing else fits. */
export const eventTopic = (session: SessionId, type: string, subject: string): string =>
  `${ROOT}/sessions/${session}/events/${type}/${subject}`;

/** Filter of all events of one session. */
export const eventFilter = (session: SessionId): string => `${ROOT}/sessions/${session}/events/#`;

export const stateTopic = (session: SessionId): string => `${ROOT}/sessions/${session}/state`;

const clientTopic = (session: SessionId, client: ClientId, leaf: string): string =>
  `${ROOT}/sessions/${session}/clients/${client}/${leaf}`;
export const canTopic = (session: SessionId, client: ClientId): string => clientTopic(session, client, 'can');
export const requestsTopic = (session: SessionId, client: ClientId): string => clientTopic(session, client, 'requests');
export const repliesTopic = (session: SessionId, client: ClientId): string => clientTopic(session, client, 'replies');

/** An actor's inbox: its address is this topic. */
export const inboxTopic = (shard: number, to: Address): string =>
  `${ROOT}/actors/${shard}/${to.session}/${to.kind}/${to.id}`;
export const INBOX_FILTER = `${ROOT}/actors/+/+/+/+`;

/**
 * Whether a valid `topic` matches a valid `filter` (MQTT 3.1.1, 4.7): `+` is one level, `#` the rest, and a filter that
 * starts with a wildcard never matches a topic that starts with `$` (4.7.2-1).
 */
export const topicMatches = (filter: string, topic: string): boolean => {
  const wanted = filter.split('/');
  const levels = topic.split('/');
  if (topic.startsWith('$') && (wanted[0] === '+' || wanted[0] === '#')) return false;
  for (const [index, want] of wanted.entries()) {
    if (want === '#') return true;
    if (index >= levels.length) return false;
    if (want !== '+' && want !== levels[index]) return false;
  }
  return wanted.length === levels.length;
};

/**
 * Whether every topic that `narrow` can match is also matched by `wide`: the test of a subscription against a right.
 * Both are valid filters.
 */
export const filterCovers = (wide: string, narrow: string): boolean => {
  const outer = wide.split('/');
  const inner = narrow.split('/');
  for (const [index, want] of outer.entries()) {
    if (want === '#') return true;
    const level = inner[index];
    if (level === undefined || level === '#') return false;
    if (want !== '+' && want !== level) return false;
  }
  return outer.length === inner.length;
};
