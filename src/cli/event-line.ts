import { capabilitySchema } from '../../machines/capability-schema.ts';
import type { Event } from '../../machines/event.ts';
import { capabilityLine } from './capability-line.ts';
import { oneLine } from './text.ts';

/** Widest short form of an event's data, in characters. */
const DATA = 110;
const TYPE = 'execution_cancelled'.length;

const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** What an event is about, in the types that name it; it stands first and bare. */
const subjectOf = (type: Event['type']): string => {
  if (type.startsWith('share_')) return 'share_id';
  if (type.startsWith('coordination_')) return 'coordination_id';
  if (type === 'webhook_dead') return 'webhook_id';
  return type === 'capability_revoked' ? 'capability_id' : 'execution_id';
};

/** A field of an event's data; a capability is said by what it allows. */
const fieldText = (name: string, value: unknown): string => {
  const { data: capability } = capabilitySchema.safeParse(value);
  return capability === undefined ? `${name}=${text(value)}` : `[${capabilityLine(capability)}]`;
};

const violation = (data: Event['data']): string => {
  const { operation, command, reason, count } = data;
  const what = [operation, command].filter((each) => typeof each === 'string').join(' ');
  const times = Number(count) > 1 ? ` (${Number(count)} times)` : '';
  return `${what || 'a call'} refused: ${text(reason ?? 'not covered')}${times}`;
};

const shortData = ({ type, data, metadata }: Event): string => {
  if (type === 'security_violation') return violation(data);
  const subject = subjectOf(type);
  const { [subject]: id, ...rest } = data;
  const about = typeof id === 'string' ? [id] : [];
  if (type === 'execution_progress') {
    const message = typeof data['message'] === 'string' ? [data['message']] : [];
    return [...about, `${Math.round(Number(data['progress']))} %`, ...message].join(' ');
  }
  if (type === 'execution_output') return [...about, `${text(data['stream'])}:`, text(data['chunk'])].join(' ');
  if (type === 'coordination_request') return [...about, text(data['operation']), text(data['description'])].join(' ');
  const problem = (data['error'] ?? data['problem']) as
    | { readonly title?: string; readonly detail?: string }
    | null
    | undefined;
  if (problem) return [...about, `${problem.title ?? ''}: ${problem.detail ?? ''}`].join(' ');
  // What stands under "who" already.
  const said = new Set(['session_id', 'client_id', ...(type === 'client_joined' ? ['name'] : [])]);
  const fields = Object.entries(rest).filter(
    ([name, value]) => value !== null && !said.has(name) && value !== metadata.principal,
  );
  return [...about, ...fields.map(([name, value]) => fieldText(name, value))].join(' ');
};

/** Who an event comes from, as the log tells it: a client by its name. */
export type Who = (event: Event) => string;

/** Names clients as their joining did; others by their id, principal or source. */
export const createWho = (): Who => {
  const names = new Map<string, string>();
  return ({ type, data, metadata }) => {
    const id = typeof data['client_id'] === 'string' ? data['client_id'] : metadata.client_id;
    if (type === 'client_joined' && id !== null) names.set(id, `${text(data['name'] ?? data['type'])} (${id})`);
    const known = id === null ? undefined : names.get(id);
    if (type === 'client_left' && id !== null) names.delete(id);
    return known ?? id ?? metadata.principal ?? metadata.source;
  };
};

/** An event on one line: time (UTC), `seq`, type, who, and the gist of its data. */
export const eventLine = (event: Event, who: Who): string =>
  [
    event.timestamp.slice(11, 23),
    String(event.seq).padStart(5),
    event.type.padEnd(TYPE),
    oneLine(who(event), 60),
    oneLine(shortData(event), DATA),
  ]
    .join('  ')
    .trimEnd();
