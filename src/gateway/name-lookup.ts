import type { LookupAddress } from 'node:dns';
import { Resolver } from 'node:dns/promises';

/** The addresses of a name; none, or a rejection, where it has none. */
export type NameLookup = (host: string) => Promise<readonly LookupAddress[]>;

const TIMEOUT_MS = 2_000;
const DEADLINE_MS = 5_000;

export interface NameLookupOptions {
  /** Name servers, `ADDRESS` or `ADDRESS:PORT`; default the machine's. */
  readonly servers?: readonly string[];
  /** The time for all of it; default 5,000. What has come by then is not waited for further. */
  readonly deadlineMs?: number;
}

/** RFC 6761, 6.3: these names never leave the machine. */
const LOCALHOST = /^(?:.+\.)?localhost\.?$/i;

/**
 * Asks the machine's name servers for A and AAAA, at most 5 s. Not `getaddrinfo`: it holds one of the few threads that
 * file system calls share, so four names whose servers never answer would stop them all. What that costs is the hosts
 * file and search domains.
 */
export const createNameLookup = ({ servers, deadlineMs = DEADLINE_MS }: NameLookupOptions = {}): NameLookup => {
  return async (host) => {
    if (LOCALHOST.test(host)) {
      return [
        { address: '127.0.0.1', family: 4 },
        { address: '::1', family: 6 },
      ];
    }
    // One for each, so that what is not answered can be cancelled without the others.
    const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: 2 });
    if (servers !== undefined) resolver.setServers(servers);
    const found: LookupAddress[] = [];
    const add = (family: 4 | 6) => (addresses: readonly string[]) => {
      for (const address of addresses) found.push({ address, family });
    };
    const timer = setTimeout(() => resolver.cancel(), deadlineMs);
    await Promise.allSettled([resolver.resolve4(host).then(add(4)), resolver.resolve6(host).then(add(6))]);
    clearTimeout(timer);
    return found;
  };
};
