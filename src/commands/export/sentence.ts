import type { Event } from '../../../machines/event.ts';
import type { Entry } from './entry.ts';

type Data = Event['data'];
type Said = Pick<Entry, 'what' | 'block' | 'progress'>;

const say = (what: string, block: string | null = null): Said => ({ what, block, progress: null });

const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value ?? null));
const words = (...parts: readonly (string | false | null | undefined)[]): string =>
  parts.filter((part) => typeof part === 'string' && part !== '').join(' ');
const told = (before: string, value: unknown): string | false =>
  value !== undefined && value !== null && value !== '' && `${before}${text(value)}`;

/** What has no sentence of its own, and fields that no sentence says. */
const fields = (data: Data, said: readonly string[] = []): string =>
  Object.entries(data)
    .filter(([name, value]) => value !== null && !said.includes(name))
    .map(([name, value]) => `${name}: ${text(value)}`)
    .join(', ');

const problemOf = (data: Data): string => {
  const { title, detail } = (data['error'] ?? data['problem'] ?? {}) as { title?: unknown; detail?: unknown };
  return words(told('', title), told('— ', detail));
};

/** A result is shown as it is: a text as text, anything else as JSON. */
const resultOf = (data: Data): string | null => {
  const { result } = data;
  if (result === undefined || result === null || JSON.stringify(result) === '{}') return null;
  return typeof result === 'string' ? result : JSON.stringify(result, null, 2);
};

const artifactsOf = ({ artifacts }: Data): string | false => {
  const names = Array.isArray(artifacts) ? artifacts.map((each: { name?: unknown }) => text(each.name)) : [];
  return names.length > 0 && `with ${names.join(', ')}`;
};

const times = (count: unknown): string | false => Number(count) > 1 && `(${Number(count)} times)`;

const lines = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

/** Who has voted, and what they said to it. */
const voters = (before: string, votes: unknown): string | false => {
  const all = (Array.isArray(votes) ? votes : []) as readonly {
    readonly principal?: unknown;
    readonly comment?: unknown;
  }[];
  const each = all.map(({ principal, comment }) =>
    words(text(principal), lines(comment) !== null && `(${text(comment)})`),
  );
  return each.length > 0 && `${before} ${each.join(', ')}`;
};

/** The one outcome of a question. */
const decision =
  (outcome: string) =>
  ({ operation, coordination_id, confirmations, rejections, reason }: Data): Said =>
    say(
      words(
        `The question ${text(operation)} ${outcome}`,
        voters('for it:', confirmations),
        voters('against it:', rejections),
        told('— ', reason),
        told('on ', coordination_id),
      ),
    );

/** By type. One that is not here is told by its name and its fields, so that nothing new is left out. */
const SENTENCES: Readonly<Record<string, (data: Data) => Said>> = {
  session_opened: ({ owner }) => say(words('opened the session', told('for ', owner))),
  session_suspended: () => say('The session is suspended: nobody is there.'),
  session_resumed: () => say('The session goes on.'),
  session_closed: ({ executions }) => say(words('The session is closed', told('after executions: ', executions))),
  session_expired: ({ executions }) => say(words('The session has expired', told('after executions: ', executions))),
  client_joined: ({ type, via_share }) => say(words('joined', told('as ', type), told('by ', via_share))),
  client_detached: () => say('lost the connection'),
  client_left: ({ reason }) => say(words('left', told('', reason))),
  execution_queued: ({ command, priority }) =>
    say(words('asked for', text(command), priority !== 0 && told('at priority ', priority))),
  execution_started: ({ attempt }) => say(Number(attempt) > 1 ? `started, attempt ${text(attempt)}` : 'started'),
  execution_progress: ({ progress, message }) => ({
    what: words(`${Math.round(Number(progress))} %`, told('', message)),
    block: null,
    progress: Math.max(0, Math.min(100, Number(progress) || 0)),
  }),
  execution_output: ({ stream, chunk }) => say(stream === 'stdout' ? 'said' : `said on ${text(stream)}`, text(chunk)),
  execution_waiting: ({ until, reason }) => say(words('waits', told('until ', until), told('for ', reason))),
  execution_retrying: (data) =>
    say(
      words('is tried again', told('as attempt ', data['attempt']), told('in ms: ', data['delay_ms']), problemOf(data)),
    ),
  execution_completed: (data) => say(words('completed', artifactsOf(data)), resultOf(data)),
  execution_failed: (data) => say(words('failed:', problemOf(data))),
  execution_cancelled: (data) => say(words('was cancelled', problemOf(data))),
  execution_timed_out: (data) => say(words('timed out', problemOf(data))),
  share_created: ({ share_id, label, capability }) =>
    say(words('shared the session:', text(share_id), told('', label)), capability ? fields(capability as Data) : null),
  share_revoked: ({ share_id, reason }) => say(words('ended the share', text(share_id), told('— ', reason))),
  capability_revoked: ({ capability_id, reason, clients }) =>
    say(words('ended the capability', text(capability_id), told('— ', reason), told('of ', clients))),
  security_violation: ({ operation, command, reason, count }) =>
    say(words('was refused', told('', operation), told('', command), told('— ', reason), times(count))),
  coordination_request: ({ operation, description, required_confirmations, coordination_id, expires_at }) =>
    say(
      words(
        'asked for a decision:',
        text(operation),
        told('', coordination_id),
        told('confirmations needed: ', required_confirmations),
        told('until ', expires_at),
      ),
      lines(description),
    ),
  coordination_vote: ({ vote, comment, coordination_id }) =>
    say(words('voted', text(vote), told('on ', coordination_id)), lines(comment)),
  coordination_confirmed: decision('was confirmed'),
  coordination_rejected: decision('was rejected'),
  coordination_timed_out: decision('found no decision in time'),
  coordination_cancelled: decision('was withdrawn'),
  webhook_dead: ({ webhook_id, event_type, event_seq, attempts, reason }) =>
    say(
      words(
        told('gave up telling ', webhook_id),
        told('of ', event_type),
        told('number ', event_seq),
        told('after attempts: ', attempts),
        told('— ', reason),
      ),
    ),
};

/** What an event says, without who: a sentence, and what of it has lines of its own. */
export const sentenceOf = ({ type, data }: Event): Said => {
  const sentence = SENTENCES[type];
  if (sentence !== undefined) return sentence(data);
  return say(words(`${type.replaceAll('_', ' ')}:`, fields(data)));
};
