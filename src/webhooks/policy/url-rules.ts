/** Which hosts may be called beyond the public ones. */
export interface HostRules {
  /** "host", "host:port", "*.suffix", "*.suffix:port"; they may be private. */
  readonly allowedHosts: readonly string[];
  /** True: no other host. */
  readonly onlyAllowedHosts: boolean;
}

export type Target =
  | {
      readonly kind: 'target';
      /** Lower case, without the dot at its end; an IPv6 address without brackets. */
      readonly host: string;
      /** On the list: whatever it resolves to may be called. */
      readonly isAllowed: boolean;
    }
  /** `why` completes "the URL …". */
  | { readonly kind: 'refused'; readonly why: string };

export const MAX_URL_CHARACTERS = 2_048;

/**
 * What a URL says of where it leads, read as the client that connects reads it: "http://2130706433/", "http://0x7f.1/"
 * and "http://0177.0.0.1/" are all 127.0.0.1. Whether an address is a public one is not judged here.
 */
export function targetOf(text: string, { allowedHosts, onlyAllowedHosts }: HostRules): Target {
  if (text.length > MAX_URL_CHARACTERS) return refused(`has more than ${MAX_URL_CHARACTERS} characters`);
  if (!URL.canParse(text)) return refused('is not a URL; write like "https://hooks.example.com/pilotlight"');
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return refused('must begin with "https://" or "http://"');
  if (url.username !== '' || url.password !== '') return refused('must not carry a user or a password');
  const host = bareHost(url.hostname);
  if (host === '') return refused('names no host');
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  const isAllowed = allowedHosts.some((entry) => matches(entry, host, port));
  if (onlyAllowedHosts && !isAllowed) return refused('leads to a host that is not in webhooks.allowedHosts');
  return { kind: 'target', host, isAllowed };
}

function matches(entry: string, host: string, port: string): boolean {
  const { name, port: wantedPort } = split(entry.toLowerCase());
  if (wantedPort !== null && wantedPort !== port) return false;
  if (name.startsWith('*.')) return host.endsWith(name.slice(1)) && host.length > name.length - 1;
  return bareHost(name) === host;
}

/** A bare IPv6 address has several colons and no port; with one it is in brackets. */
function split(entry: string): { name: string; port: string | null } {
  const bracketed = /^(\[[^\]]*\])(?::(\d+))?$/.exec(entry);
  if (bracketed) return { name: bracketed[1] ?? '', port: bracketed[2] ?? null };
  const named = /^([^:]*):(\d+)$/.exec(entry);
  return named ? { name: named[1] ?? '', port: named[2] ?? null } : { name: entry, port: null };
}

function bareHost(hostname: string): string {
  return hostname
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '');
}

function refused(why: string): Target {
  return { kind: 'refused', why };
}
