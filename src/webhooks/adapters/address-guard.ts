import { lookup } from 'node:dns/promises';
import ipaddr from 'ipaddr.js';

export interface Address {
  readonly address: string;
  readonly family: 4 | 6;
}

/** All addresses of a host name. Rejects when there are none. */
export type Resolve = (host: string) => Promise<readonly Address[]>;

/**
 * Public in form, and an inside address all the same: Azure's virtual public address for its host services
 * (https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16).
 */
const INSIDE = new Set(['168.63.129.16']);

/** Global unicast, all that is allocated of IPv6 (RFC 4291 section 2.4, IANA "IPv6 Global Unicast Address Assignments"). */
const GLOBAL_UNICAST: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('2000::'), 3];

/**
 * Whether an address is out in the public internet. Everything else is not: private, loopback, link-local (metadata
 * services among them), shared, unique local, multicast, unspecified, reserved, and IPv6 addresses that carry an IPv4
 * address inside (mapped, compatible, NAT64, 6to4, Teredo), because where they lead is up to some gateway. False for what is no address.
 */
export function isPublicAddress(text: string): boolean {
  if (!ipaddr.isValid(text)) return false;
  const address = ipaddr.parse(text);
  if (address.range() !== 'unicast' || INSIDE.has(address.toString())) return false;
  return address instanceof ipaddr.IPv4 || (address.match(GLOBAL_UNICAST) && !isIsatap(address));
}

/** Interface identifiers "0000:5efe" and "0200:5efe" are followed by an IPv4 address (RFC 5214 section 6.1). */
function isIsatap({ parts }: ipaddr.IPv6): boolean {
  return (parts[4] === 0 || parts[4] === 0x200) && parts[5] === 0x5efe;
}

export function literalAddress(host: string): Address | null {
  if (!ipaddr.isValid(host)) return null;
  return { address: host, family: ipaddr.parse(host) instanceof ipaddr.IPv4 ? 4 : 6 };
}

export const resolveBySystem: Resolve = async (host) => {
  const found = await lookup(host, { all: true, order: 'verbatim' });
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
};
