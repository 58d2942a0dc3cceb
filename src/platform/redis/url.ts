import type { Parsed } from '../../core/units.ts';

const PROTOCOLS = ['redis:', 'rediss:'];

/** A Redis address that can be used, or what is wrong with it. The problem never repeats the text: it may hold a password. */
export function parseRedisUrl(text: string): Parsed<URL> {
  const example = 'write redis://[user:password@]host[:port][/db], or rediss:// for TLS';
  if (!URL.canParse(text)) return { ok: false, problem: `the Redis URL cannot be read; ${example}` };
  const url = new URL(text);
  if (!PROTOCOLS.includes(url.protocol))
    return { ok: false, problem: `the Redis URL starts with "${url.protocol}"; ${example}` };
  if (url.hostname === '') return { ok: false, problem: `the Redis URL names no host; ${example}` };
  if (!/^\/?\d*$/.test(url.pathname))
    return { ok: false, problem: `the Redis URL's path is not a database number; ${example}` };
  return { ok: true, value: url };
}

/** The address as it may be shown: user, host, port and database, with the password replaced. */
export function maskRedisUrl(text: string): string {
  if (!URL.canParse(text)) return '(unreadable Redis URL)';
  const url = new URL(text);
  if (url.password !== '') url.password = '***';
  url.search = '';
  return url.href;
}
