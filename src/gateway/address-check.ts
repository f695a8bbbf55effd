import type { LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { ProblemError } from '../../machines/error.ts';
import { createNameLookup, type NameLookup } from './name-lookup.ts';

/** Which addresses the server may call on behalf of others (contract, section 9). */
export interface AddressCheck {
  /**
   * The addresses of a URL's host that may be connected to; connect to these and no others, a second look-up may answer
   * differently. Rejects with a `ProblemError` `address_refused` that names the field `url`: where the URL is not http
   * or https, holds a user, or where its host has no such address. A name that does not exist and one that leads inside
   * are answered alike, so nobody can ask for names inside. Takes at most about 5 s.
   */
  resolve(url: string): Promise<readonly LookupAddress[]>;
}

export interface AddressCheckOptions {
  /** Ranges that may be called although they are not public: CIDR. */
  readonly allow: readonly string[];
  /** Default the machine's name servers. */
  readonly lookup?: NameLookup;
}

const MAX_URL = 2_048;
/** Of one host; a name with more is served by these as well. */
const MAX_ADDRESSES = 16;

type Range = ReturnType<typeof ipaddr.parseCIDR>;

/**
 * What IANA has given out as global unicast. Anything else in IPv6 is for a purpose of its own, such as carrying an IPv4
 * address, also where it has no name yet; `::/96` is such a range.
 */
const GLOBAL_IPV6: Range = ipaddr.parseCIDR('2000::/3');

/** A public address that is none: Azure's agent, with the credentials of the machine, answers there. */
const METADATA: readonly string[] = ['168.63.129.16'];

const within = (address: ipaddr.IPv4 | ipaddr.IPv6, [network, bits]: Range): boolean =>
  address.kind() === network.kind() && address.match(network, bits);

const isPublic = (address: ipaddr.IPv4 | ipaddr.IPv6): boolean =>
  address.range() === 'unicast' &&
  (address.kind() === 'ipv4' ? !METADATA.includes(address.toString()) : within(address, GLOBAL_IPV6));

const refused = (expected: string): ProblemError =>
  new ProblemError('address_refused', `url: expected ${expected}`, { more: { errors: [{ field: 'url', expected }] } });

/**
 * A check that refuses whatever is not public and not in `allow`: private, loopback, link-local, unique-local, shared
 * (CGNAT), multicast, reserved and metadata ranges, and IPv6 addresses that carry an IPv4 one (mapped, NAT64, 6to4,
 * Teredo). An IPv4 range of `allow` does not allow its IPv6 disguises.
 */
export const createAddressCheck = ({ allow, lookup = createNameLookup() }: AddressCheckOptions): AddressCheck => {
  const allowed = allow.map((range) => ipaddr.parseCIDR(range));
  const mayBeCalled = ({ address }: LookupAddress): boolean => {
    // Digits and dots alone are read in more ways than one; an address is in its one form here.
    if (isIP(address) === 0) return false;
    const parsed = ipaddr.parse(address);
    return isPublic(parsed) || allowed.some((range) => within(parsed, range));
  };
  return {
    resolve: async (url) => {
      // The parser turns 0x7f000001, 2130706433 and 127.1 into 127.0.0.1.
      const parsed = url.length > MAX_URL ? null : URL.parse(url);
      if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:'))
        throw refused(`an http: or https: address of up to ${MAX_URL} characters`);
      if (parsed.username !== '' || parsed.password !== '') throw refused('an address without a user and a password');
      const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1');
      const family = isIP(host);
      const found = family === 0 ? await lookup(host).catch(() => []) : [{ address: host, family }];
      const callable = found.filter(mayBeCalled).slice(0, MAX_ADDRESSES);
      if (callable.length === 0) throw refused('a host with a public address, or one in webhooks.allow');
      return callable;
    },
  };
};
