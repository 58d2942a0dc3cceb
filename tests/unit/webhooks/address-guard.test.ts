import { describe, expect, test } from 'vitest';
import { isPublicAddress } from '../../../src/webhooks/adapters/address-guard.ts';

describe('an address that may be called', () => {
  for (const address of ['8.8.8.8', '93.184.216.34', '172.15.0.1', '172.32.0.1', '100.63.0.1', '100.128.0.1']) {
    test(`${address} is public`, () => expect(isPublicAddress(address)).toBe(true));
  }
  for (const address of ['2606:4700::1111', '2001:4860:4860::8888', '2a00:1450:4001::1']) {
    test(`${address} is public`, () => expect(isPublicAddress(address)).toBe(true));
  }
});

describe('an address that may not', () => {
  const OTHERS: Readonly<Record<string, readonly string[]>> = {
    'this host': ['0.0.0.0', '0.1.2.3', '::'],
    loopback: ['127.0.0.1', '127.255.255.254', '::1'],
    private: ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.255.1', 'fc00::1', 'fdff::1'],
    'link-local': ['169.254.0.1', 'fe80::1', 'fe80::1%eth0', 'febf::1'],
    'of a metadata service': ['169.254.169.254', 'fd00:ec2::254', '100.100.100.200', '192.0.0.192', '168.63.129.16'],
    shared: ['100.64.0.1', '100.127.255.255'],
    multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1', 'ff0e::1'],
    'reserved or for documentation': [
      '192.0.2.1',
      '198.51.100.1',
      '203.0.113.1',
      '198.18.0.1',
      '240.0.0.1',
      '255.255.255.255',
      '2001:db8::1',
      '3fff::1',
      '5f00::1',
      '100::1',
      'fec0::1',
      '4000::1',
    ],
    'one that carries another': [
      '::ffff:8.8.8.8',
      '::8.8.8.8',
      '64:ff9b::808:808',
      '64:ff9b:1::808:808',
      '2002:808:808::1',
      '2001:0:4136:e378:8000:63bf:3fff:fdd2',
      '2a00::5efe:a00:1',
      '2a00::200:5efe:a00:1',
    ],
    'none at all': ['', 'localhost', '1.2.3.4.5', 'ffff'],
  };
  for (const [what, addresses] of Object.entries(OTHERS)) {
    for (const address of addresses) {
      test(`"${address}" is ${what}`, () => expect(isPublicAddress(address)).toBe(false));
    }
  }
});
