import { LRUCache as Cache } from 'lru-cache';

/** A cache makes room for all that it may hold when it is made, which would be most of a short history's time. */
const MAX = 64;

export class LRUCache<Key extends {}, Value extends {}> extends Cache<Key, Value> {
  constructor(options: Cache.OptionsMaxLimit<Key, Value, unknown>) {
    super({ ...options, max: Math.min(options.max, MAX) });
  }
}
