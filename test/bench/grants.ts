import { CLIENT_TYPES, DEFAULT_GRANTS, type ClientType, type Grant } from '../../machines/capability.ts';

/** Far more than any run does. */
export const NEVER_REACHED = 1_000_000_000;

/**
 * What the contract grants by default, with every limit there but out of reach: each use is charged, none is refused. As
 * `policy` of a configuration as well.
 */
export const ROOMY_GRANTS = Object.fromEntries(
  CLIENT_TYPES.map((type) => [
    type,
    DEFAULT_GRANTS[type].map((grant) => ({
      ...grant,
      constraints: {
        ...grant.constraints,
        rate_limit: NEVER_REACHED,
        ...(grant.constraints.max_concurrent === undefined ? {} : { max_concurrent: NEVER_REACHED }),
      },
    })),
  ]),
) as unknown as Readonly<Record<ClientType, readonly Grant[]>>;

/** What the contract grants by default, without any limit: nothing is charged, in no session and to no principal. */
export const UNLIMITED_GRANTS = Object.fromEntries(
  CLIENT_TYPES.map((type) => [type, DEFAULT_GRANTS[type].map((grant) => ({ ...grant, constraints: {} }))]),
) as unknown as Readonly<Record<ClientType, readonly Grant[]>>;
