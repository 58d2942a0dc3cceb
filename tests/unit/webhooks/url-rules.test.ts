import { describe, expect, test } from 'vitest';
import { targetOf } from '../../../src/webhooks/policy/url-rules.ts';

const OPEN = { allowedHosts: [], onlyAllowedHosts: false };

describe('the host a URL leads to', () => {
  for (const [url, host] of [
    ['https://Hooks.Example.COM/x', 'hooks.example.com'],
    ['https://hooks.example.com./x', 'hooks.example.com'],
    ['http://2130706433/', '127.0.0.1'],
    ['http://0x7f.1/', '127.0.0.1'],
    ['http://0177.0.0.1/', '127.0.0.1'],
    ['http://127.0.0.1./', '127.0.0.1'],
    ['http://[::FFFF:127.0.0.1]/', '::ffff:7f00:1'],
    ['http://hooks%2eexample.com/', 'hooks.example.com'],
    ['http://１２７.0.0.1/', '127.0.0.1'],
  ] as const) {
    test(`of ${url} is ${host}`, () => {
      expect(targetOf(url, OPEN)).toEqual({ kind: 'target', host, isAllowed: false });
    });
  }

  for (const [url, why] of [
    ['ftp://example.com/', 'must begin'],
    ['file:///etc/passwd', 'must begin'],
    ['javascript:alert(1)', 'must begin'],
    ['https://user@example.com/', 'password'],
    ['https://:secret@example.com/', 'password'],
    ['https://', 'is not a URL'],
    ['http://256.256.256.256/', 'is not a URL'],
    ['http://a b/', 'is not a URL'],
    ['', 'is not a URL'],
    [`https://example.com/${'x'.repeat(2_048)}`, '2048 characters'],
  ] as const) {
    test(`is not asked for with ${url.slice(0, 40)}`, () => {
      expect(targetOf(url, OPEN)).toMatchObject({ kind: 'refused', why: expect.stringContaining(why) as string });
    });
  }
});

describe('the list of allowed hosts', () => {
  for (const [entry, url, isAllowed] of [
    ['hooks.example.com', 'https://hooks.example.com/', true],
    ['hooks.example.com', 'https://hooks.example.com:8443/', true],
    ['HOOKS.example.com', 'https://hooks.EXAMPLE.com./', true],
    ['hooks.example.com', 'https://evil-hooks.example.com/', false],
    ['hooks.example.com', 'https://hooks.example.com.evil.net/', false],
    ['*.example.com', 'https://a.b.example.com/', true],
    ['*.example.com', 'https://example.com/', false],
    ['*.example.com', 'https://evilexample.com/', false],
    ['*.example.com:8443', 'https://a.example.com:8443/', true],
    ['*.example.com:8443', 'https://a.example.com/', false],
    ['10.1.2.3:8443', 'https://10.1.2.3:8443/', true],
    ['10.1.2.3:8443', 'https://10.1.2.3/', false],
    ['10.1.2.3', 'http://0x0a010203/', true],
    ['hooks.example.com:443', 'https://hooks.example.com/', true],
    ['hooks.example.com:80', 'http://hooks.example.com/', true],
    ['hooks.example.com:80', 'https://hooks.example.com/', false],
    ['[fd00::1]:8443', 'https://[fd00::1]:8443/', true],
    ['[fd00::1]', 'https://[fd00::1]:8443/', true],
    ['fd00::1', 'https://[fd00:0:0::1]/', true],
    ['*', 'https://example.com/', false],
  ] as const) {
    test(`${isAllowed ? 'has' : 'has not'} ${url} with ${entry}`, () => {
      const rules = { allowedHosts: ['other.test', entry], onlyAllowedHosts: false };
      expect(targetOf(url, rules)).toMatchObject({ kind: 'target', isAllowed });
      const only = targetOf(url, { ...rules, onlyAllowedHosts: true });
      expect(only.kind).toBe(isAllowed ? 'target' : 'refused');
    });
  }
});
