import { EMPTY_LEDGER } from './charge.ts';
import { granted } from './session-context.ts';
import type { SessionContext } from './session-context.ts';

/** How the contexts of older releases become those of this one: what they lack is what was true for them. */

/** A context as it was read: whatever its version had. */
export type StoredContext = Readonly<Record<string, unknown>>;

/**
 * Before version 2: sessions of releases without shares and budgets lack what these need; those with them have it all.
 * Before version 3 there were neither webhooks nor questions.
 */
export const migrateSession = (version: number, _: string, context: StoredContext): StoredContext => ({
  webhooks: {},
  coordinations: [],
  ...(version >= 2 ? context : withShares(context)),
});

const withShares = (context: StoredContext): StoredContext => {
  const before = { shares: {}, ledger: EMPTY_LEDGER, ...context } as Omit<SessionContext, 'idle_at' | 'lapses_at'>;
  const ends = granted(before).flatMap(({ constraints: { expires_at } }) =>
    expires_at === undefined ? [] : [Date.parse(expires_at)],
  );
  // There was one reason to wake: that nobody is there.
  return { idle_at: before.deadline, lapses_at: ends.length === 0 ? null : Math.min(...ends), ...before };
};

export const migrateClient = (version: number, _: string, context: StoredContext): StoredContext =>
  version >= 2 ? context : { via_share: null, ...context };

/** Before version 2: each start was an attempt, and all but one that is under way had failed. */
export const migrateExecution = (version: number, state: string, context: StoredContext): StoredContext => ({
  confirmation: null,
  ...(version >= 2 ? context : withStarts(state, context)),
});

const withStarts = (state: string, context: StoredContext): StoredContext => {
  const attempts = Number(context['attempts'] ?? 0);
  return {
    charged: [],
    starts: attempts,
    failures: state === 'running' ? Math.max(0, attempts - 1) : attempts,
    recorded: [],
    awaited: [],
    waited_ms: 0,
    waiting_since: null,
    ...context,
  };
};
