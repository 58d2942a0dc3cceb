import type { ConnectionOptions } from 'node:tls';

export interface RedisAddress {
  readonly host: string;
  /** 1..65535 */
  readonly port: number;
}

/** How connections are encrypted; certificates and keys as PEM text. */
export interface RedisTls {
  /** Authorities to trust instead of those that Node knows. */
  readonly ca: string | null;
  /** Shown to servers that ask who calls; both or none. */
  readonly cert: string | null;
  readonly key: string | null;
  /** The name that the certificate has to carry, where it is not the host's. */
  readonly serverName: string | null;
  /** True: whoever answers is believed. */
  readonly insecure: boolean;
}

export interface RedisLogin {
  /** null = the user "default". */
  readonly username: string | null;
  readonly password: string | null;
}

/** Where Redis is: a single server, a primary that sentinels know, or a cluster. */
export type RedisTarget =
  | { readonly kind: 'single'; readonly url: string; readonly tls: RedisTls | null }
  | {
      readonly kind: 'sentinel';
      readonly sentinels: readonly RedisAddress[];
      readonly masterName: string;
      readonly database: number;
      readonly login: RedisLogin;
      readonly tls: RedisTls | null;
      readonly sentinelLogin: RedisLogin;
      readonly sentinelTls: RedisTls | null;
    }
  | {
      readonly kind: 'cluster';
      /** Some of its nodes; the others are asked for. */
      readonly nodes: readonly RedisAddress[];
      readonly login: RedisLogin;
      readonly tls: RedisTls | null;
    };

/** "10.0.0.1:6379", "redis-0.redis:6379" or "[::1]:6379"; null if it is none of them. */
export function parseRedisAddress(text: string): RedisAddress | null {
  const [, inBrackets, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/@[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = inBrackets ?? plain;
  const port = Number(digits);
  return host !== undefined && port >= 1 && port <= 65_535 ? { host, port } : null;
}

/** What Node's TLS is told. */
export function tlsOptions({ ca, cert, key, serverName, insecure }: RedisTls): ConnectionOptions {
  return {
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
    ...(serverName === null ? {} : { servername: serverName }),
    rejectUnauthorized: !insecure,
  };
}

/** For people, without secrets: "cluster of 10.0.0.1:6379, 10.0.0.2:6379". */
export function describeTarget(target: Exclude<RedisTarget, { kind: 'single' }>): string {
  const list = (addresses: readonly RedisAddress[]) => addresses.map(({ host, port }) => `${host}:${port}`).join(', ');
  return target.kind === 'cluster'
    ? `cluster at ${list(target.nodes)}`
    : `primary "${target.masterName}" of the sentinels ${list(target.sentinels)}`;
}
