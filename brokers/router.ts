/**
 * Who subscribes to what: a trie of filter levels. A match costs the topic's levels, not the number of filters. Lists
 * are copied on change, so that a match stays valid while its receivers subscribe and unsubscribe.
 */
export interface Router<T> {
  /** `filter` must be valid. The same value may be added to several filters. */
  add(filter: string, value: T): void;
  /** Takes one occurrence out; nothing where there is none. */
  remove(filter: string, value: T): void;
  /** Every value whose filter matches, once for each such filter. */
  match(topic: string): readonly T[];
  /** Whether `match` would find anything. */
  matchesAny(topic: string): boolean;
}

interface Level<T> {
  readonly children: Map<string, Level<T>>;
  single: Level<T> | null;
  /** Filters that end here. */
  here: readonly T[];
  /** Filters that go on with `#`, which matches this level itself too (4.7.1.2). */
  rest: readonly T[];
}

const level = <T>(): Level<T> => ({ children: new Map(), single: null, here: [], rest: [] });

const without = <T>(list: readonly T[], value: T): readonly T[] => {
  const index = list.indexOf(value);
  return index === -1 ? list : list.toSpliced(index, 1);
};

const joined = <T>(found: readonly T[], more: readonly T[]): readonly T[] => {
  if (more.length === 0) return found;
  return found.length === 0 ? more : [...found, ...more];
};

/** `from` is where the next level starts; beyond the topic's length there is none. */
const collect = <T>(at: Level<T>, topic: string, from: number, found: readonly T[]): readonly T[] => {
  // A leading wildcard does not match a topic that begins with $ [MQTT-4.7.2-1].
  const reserved = from === 0 && topic.charCodeAt(0) === 36;
  let all = reserved ? found : joined(found, at.rest);
  if (from > topic.length) return joined(all, at.here);
  if (at.children.size > 0) {
    const slash = topic.indexOf('/', from);
    const end = slash === -1 ? topic.length : slash;
    const child = at.children.get(topic.slice(from, end));
    if (child !== undefined) all = collect(child, topic, end + 1, all);
  }
  if (at.single !== null && !reserved) {
    const slash = topic.indexOf('/', from);
    all = collect(at.single, topic, (slash === -1 ? topic.length : slash) + 1, all);
  }
  return all;
};

const finds = <T>(at: Level<T>, topic: string, from: number): boolean => {
  const reserved = from === 0 && topic.charCodeAt(0) === 36;
  if (!reserved && at.rest.length > 0) return true;
  if (from > topic.length) return at.here.length > 0;
  const slash = topic.indexOf('/', from);
  const end = slash === -1 ? topic.length : slash;
  const child = at.children.size > 0 ? at.children.get(topic.slice(from, end)) : undefined;
  if (child !== undefined && finds(child, topic, end + 1)) return true;
  return at.single !== null && !reserved && finds(at.single, topic, end + 1);
};

const insert = <T>(at: Level<T>, levels: readonly string[], index: number, value: T): void => {
  const name = levels[index];
  if (name === undefined) at.here = [...at.here, value];
  else if (name === '#') at.rest = [...at.rest, value];
  else {
    let next = name === '+' ? at.single : at.children.get(name);
    if (next === null || next === undefined) {
      next = level<T>();
      if (name === '+') at.single = next;
      else at.children.set(name, next);
    }
    insert(next, levels, index + 1, value);
  }
};

const isEmpty = (at: Level<unknown>): boolean =>
  at.children.size === 0 && at.single === null && at.here.length === 0 && at.rest.length === 0;

const take = <T>(at: Level<T>, levels: readonly string[], index: number, value: T): void => {
  const name = levels[index];
  if (name === undefined) at.here = without(at.here, value);
  else if (name === '#') at.rest = without(at.rest, value);
  else {
    const next = name === '+' ? at.single : at.children.get(name);
    if (next === null || next === undefined) return;
    take(next, levels, index + 1, value);
    if (!isEmpty(next)) return;
    if (name === '+') at.single = null;
    else at.children.delete(name);
  }
};

export const createRouter = <T>(): Router<T> => {
  const root = level<T>();
  return {
    add: (filter, value) => insert(root, filter.split('/'), 0, value),
    remove: (filter, value) => take(root, filter.split('/'), 0, value),
    match: (topic) => collect(root, topic, 0, []),
    matchesAny: (topic) => finds(root, topic, 0),
  };
};
