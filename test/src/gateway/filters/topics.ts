import * as fc from 'fast-check';
import { createIdentifiers } from '../../../../actors/identifiers.ts';
import { filterProblem, topicProblem } from '../../../../brokers/topic-rules.ts';
import { EVENT_TYPES } from '../../../../machines/event.ts';

const newId = createIdentifiers(Date.now);
export const [OWN, FOREIGN] = [newId('session'), newId('session')];
/** Two of one session and one of another. */
export const [ME, FELLOW, STRANGER] = [newId('client'), newId('client'), newId('client')];
const EXECUTION = newId('execution');

export const base = (session: string): string => `arbor/v1/sessions/${session}`;
export const clientBase = (session: string, client: string): string => `${base(session)}/clients/${client}`;

/** Every topic that there is, in two sessions, and some that there are not. */
export const TOPICS: readonly string[] = [
  ...[
    [OWN, ME],
    [OWN, FELLOW],
    [FOREIGN, STRANGER],
  ].flatMap(([session = '', client = '']) => [
    `${base(session)}/state`,
    ...EVENT_TYPES.slice(0, 3).map((type) => `${base(session)}/events/${type}/${session}`),
    `${base(session)}/events/client_left/${client}`,
    `${base(session)}/events/execution_output/${EXECUTION}`,
    ...['can', 'replies', 'requests'].map((leaf) => `${clientBase(session, client)}/${leaf}`),
    `arbor/v1/actors/3/${session}/client/${client}`,
    `arbor/v1/inspect/${session}/client/${client}`,
  ]),
  '$SYS/broker/uptime',
  'arbor/v1/sessions',
  'arbor/v2/sessions',
  `${base(OWN)}/events`,
  `${base(OWN)}/eventsx/a/b`,
  `${base(OWN)}x/events/a/b`,
  `/${base(OWN)}/events/a/b`,
];

/** The rows of the table that are a client's who may read, said without the order of the code. */
export const isRight = (topic: string, reads = true): boolean => {
  if (topic === `${clientBase(OWN, ME)}/can` || topic === `${clientBase(OWN, ME)}/replies`) return true;
  if (!reads) return false;
  const levels = topic.split('/');
  const [root, version, sessions, session, kind] = levels;
  if (root !== 'arbor' || version !== 'v1' || sessions !== 'sessions' || session !== OWN) return false;
  return kind === 'events' || (kind === 'state' && levels.length === 5);
};

/** The same at delivery; an event has at least a type. */
export const isDelivered = (topic: string, reads: boolean): boolean =>
  isRight(topic, reads) && topic !== `${base(OWN)}/events`;

const WORDS = [
  ...['arbor', 'v1', 'v2', 'sessions', 'events', 'state', 'clients', 'can', 'replies', 'requests', 'actors', 'inspect'],
  ...['$SYS', '$share', '', 'client_left', 'execution_output', 'Events', '\u{1F335}', OWN.toLowerCase()],
  ...[OWN, FOREIGN, ME, FELLOW, STRANGER, EXECUTION],
];
export const word = fc.constantFrom(...WORDS);
const level = fc.oneof({ weight: 3, arbitrary: word }, { weight: 2, arbitrary: fc.constant('+') });

/** Anything at all of these words, and real topics in which some of the levels were changed. */
export const filters: fc.Arbitrary<string> = fc
  .oneof(
    { weight: 1, arbitrary: fc.array(level, { minLength: 1, maxLength: 9 }) },
    {
      weight: 4,
      arbitrary: fc
        .record({
          topic: fc.oneof(fc.constantFrom(...TOPICS), fc.constantFrom(...TOPICS.filter((topic) => isRight(topic)))),
          changes: fc.array(fc.record({ at: fc.nat(8), level }), { maxLength: 2 }),
          length: fc.oneof(
            { weight: 3, arbitrary: fc.constant(9) },
            { weight: 1, arbitrary: fc.integer({ min: 1, max: 8 }) },
          ),
          more: fc.array(level, { maxLength: 1 }),
        })
        .map(({ topic, changes, length, more }) => {
          const levels = topic.split('/');
          for (const { at, level: changed } of changes) levels[at % levels.length] = changed;
          return [...levels.slice(0, length), ...more];
        }),
    },
  )
  .chain((levels) =>
    fc.record({
      levels: fc.constant(levels),
      rest: fc.boolean(),
      shared: fc.oneof({ weight: 9, arbitrary: fc.constant('') }, { weight: 1, arbitrary: fc.constant('$share/g/') }),
    }),
  )
  .map(({ levels, rest, shared }) => `${shared}${levels.join('/')}${rest ? '/#' : ''}`)
  .filter((filter) => filterProblem(filter) === null);

/** Topics that match a filter (MQTT 3.1.1, 4.7). */
export const matching = (filter: string): fc.Arbitrary<string> => {
  const levels = filter.split('/');
  const rest = levels.at(-1) === '#';
  const fixed = rest ? levels.slice(0, -1) : levels;
  return fc
    .tuple(
      fc.tuple(...fixed.map((each) => (each === '+' ? word : fc.constant(each)))),
      fc.array(word, { maxLength: 3 }),
    )
    .map(([first, more]) => [...first, ...(rest ? more : [])].join('/'))
    .filter((topic) => topicProblem(topic) === null);
};
