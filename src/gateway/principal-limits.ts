import { LRUCache } from 'lru-cache';
import { CLIENT_TYPES, type ClientType, type Grant } from '../../machines/capability.ts';
import { problem, type Problem } from '../../machines/error.ts';
import { createCounters } from './counters.ts';

/** Accepted commands of one principal and command in 60 minutes, by what it acts as; Infinity for no limit. */
export type PrincipalRateLimits = Readonly<Record<ClientType | 'mcp_tool', number>>;

/** What is configured of them. */
export type ConfiguredRateLimits = { readonly [Type in keyof PrincipalRateLimits]?: number | undefined };

/** A command that a principal is about to give. */
export interface PrincipalUse {
  readonly principal: string;
  readonly command: string;
  /** `api` for a principal without a client; `mcp_tool` for a command with that resource. */
  readonly type: ClientType | 'mcp_tool';
  /** What makes it a repeat of an earlier one; null where nothing does. */
  readonly repeatKey: string | null;
}

export type Consumed =
  | {
      readonly ok: true;
      /** Accepted anew: it stays counted. */
      accepted(): void;
      /** Nothing was accepted, or a repeat was answered: it does not count. */
      refund(): void;
    }
  | { readonly ok: false; readonly problem: Problem };

/**
 * The limit of a principal across its sessions, which a new session does not reset (contract, section 6). Kept in memory:
 * a restart begins anew, while the limits of capabilities survive it.
 */
export interface PrincipalLimits {
  /** Counts a use before it is tried, so that uses at the same time are counted as well. */
  consume(use: PrincipalUse): Promise<Consumed>;
}

const WINDOW_S = 3_600;
/** Principals and commands that are remembered. */
const MAX_KEYS = 50_000;
/** Repeat keys that are remembered, to tell a repeat from a new use where the limit is reached. */
const MAX_REPEATS = 20_000;
const FACTOR = 10;

const rateOf = (grants: readonly Grant[]): number =>
  grants.length === 0
    ? Infinity
    : Math.max(...grants.map(({ constraints: { rate_limit } }) => (rate_limit ?? Infinity) * FACTOR));

/** What is not configured is ten times the `rate_limit` of what the type is granted. */
export const principalRateLimits = (
  grants: Readonly<Record<ClientType, readonly Grant[]>>,
  configured: ConfiguredRateLimits = {},
): PrincipalRateLimits => {
  const isTool = ({ resource_type }: Grant): boolean => resource_type === 'mcp_tool';
  const byType = Object.fromEntries(
    CLIENT_TYPES.map((type) => [type, configured[type] ?? rateOf(grants[type].filter((grant) => !isTool(grant)))]),
  ) as Record<ClientType, number>;
  const tools = CLIENT_TYPES.flatMap((type) => grants[type].filter(isTool));
  return { ...byType, mcp_tool: configured.mcp_tool ?? rateOf(tools) };
};

const UNLIMITED: Consumed = { ok: true, accepted: () => {}, refund: () => {} };

export const createPrincipalLimits = (limits: PrincipalRateLimits, now: () => number): PrincipalLimits => {
  const counters = createCounters({ window: WINDOW_S, max: MAX_KEYS, now });
  const repeats = new LRUCache<string, true>({ max: MAX_REPEATS });

  return {
    consume: async ({ principal, command, type, repeatKey }) => {
      const limit = limits[type];
      if (limit === Infinity) return UNLIMITED;
      const { count, endsIn, undo } = await counters.count(JSON.stringify([principal, command]));
      const isRepeat = repeatKey !== null && repeats.has(repeatKey);
      if (count > limit && !isRepeat) {
        undo();
        return {
          ok: false,
          problem: problem('rate_limited', `the rate limit of the principal for ${command} is reached`, {
            reason: 'principal',
            retry_after: endsIn,
            limit: { policy: 'principal', quota: limit, window: WINDOW_S },
          }),
        };
      }
      return {
        ok: true,
        accepted: () => {
          if (repeatKey !== null) repeats.set(repeatKey, true);
        },
        refund: undo,
      };
    },
  };
};
