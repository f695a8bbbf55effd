import type { LookupAddress } from 'node:dns';
import { Resolver } from 'node:dns/promises';

/** The addresses of a name; rejects, or answers none, where it has none. */
export type NameLookup = (host: string) => Promise<readonly LookupAddress[]>;

const TIMEOUT_MS = 2_000;
const DEADLINE_MS = 5_000;

/** RFC 6761, 6.3: these names never leave the machine. */
const LOCALHOST = /^(?:.+\.)?localhost\.?$/i;

/**
 * Asks the machine's name servers for A and AAAA, at most 5 s. Not `getaddrinfo`: it holds one of the few threads that
 * file system calls share, so four names whose servers never answer would stop them all. What that costs is the hosts
 * file and search domains.
 */
export const createNameLookup = (): NameLookup => {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: 2 });
  const ask = async (host: string): Promise<LookupAddress[]> => {
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    return answers.flatMap((answer, index) =>
      answer.status === 'rejected' ? [] : answer.value.map((address) => ({ address, family: index === 0 ? 4 : 6 })),
    );
  };
  return async (host) => {
    if (LOCALHOST.test(host)) {
      return [
        { address: '127.0.0.1', family: 4 },
        { address: '::1', family: 6 },
      ];
    }
    const deadline = Promise.withResolvers<LookupAddress[]>();
    const timer = setTimeout(() => deadline.resolve([]), DEADLINE_MS);
    try {
      return await Promise.race([ask(host), deadline.promise]);
    } finally {
      clearTimeout(timer);
    }
  };
};
