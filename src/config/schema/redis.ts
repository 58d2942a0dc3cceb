import { z } from 'zod';
import { show, text } from '../fields.ts';

/** What stands in place of a password wherever settings are shown. */
export const PASSWORD_MASK = '***';

const redisUrl = z
  .string()
  .superRefine((value, context) => {
    const problem = redisUrlProblem(value);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  })
  .nullable();

/** Names what is wrong without repeating the text: it may hold a password. */
function redisUrlProblem(value: string): string | undefined {
  const example = 'write redis://[user:password@]host[:port][/db], or rediss:// for TLS';
  if (!URL.canParse(value)) return `the Redis URL cannot be read; ${example}`;
  const url = new URL(value);
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') {
    return `the Redis URL starts with "${url.protocol}"; ${example}`;
  }
  if (url.hostname === '') return `the Redis URL names no host; ${example}`;
  if (!/^\/?\d*$/.test(url.pathname)) return `the Redis URL's path is not a database number; ${example}`;
  if (url.password === PASSWORD_MASK) {
    return 'the Redis URL holds a masked password, as `config print` shows it; write the real one';
  }
  return undefined;
}

const addresses = z
  .array(
    z.string().regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:/@[\]]+):([1-9]\d{0,4})$/, {
      error: (issue) => `${show(issue.input)} is not an address; write like "redis-0.redis:6379"`,
    }),
  )
  .max(100)
  .default([]);

const password = z
  .string()
  .min(1)
  .max(4_096)
  .refine((value) => value !== PASSWORD_MASK, {
    error: 'is a masked password, as `config print` shows it; write the real one',
  })
  .nullable()
  .default(null);

const path = text(4_096).nullable().default(null);

const tlsSection = z
  .strictObject({
    enabled: z
      .boolean()
      .default(false)
      .describe('Whether sentinel and cluster are spoken to by TLS. A URL says so itself: rediss://.'),
    caFile: path
      .describe('Certificates of the authorities to trust, PEM.')
      .meta({ whenAbsent: 'those that Node.js knows' }),
    certFile: path.describe('Certificate to show, PEM; with keyFile.').meta({ whenAbsent: 'none' }),
    keyFile: path.describe('Its private key, PEM.').meta({ whenAbsent: 'none' }),
    serverName: text()
      .nullable()
      .default(null)
      .describe('Name that the certificate carries.')
      .meta({ whenAbsent: 'the host' }),
    insecureSkipVerify: z
      .boolean()
      .default(false)
      .describe('Believe whoever answers. For trials: anybody in between can read and write the queue.'),
  })
  .prefault({});

const sentinelSection = z
  .strictObject({
    nodes: addresses.describe('Addresses of the sentinels, host:port, instead of a URL.'),
    masterName: text().default('mymaster').describe('Name under which they know the primary.'),
    database: z.int().min(0).max(65_535).default(0).describe('Number of the database at the primary.'),
    username: text()
      .nullable()
      .default(null)
      .describe('User at the sentinels.')
      .meta({ whenAbsent: 'the default user' }),
    password: password.describe('Password at the sentinels.').meta({ secret: true, opaque: true, whenAbsent: 'none' }),
    tls: z
      .boolean()
      .default(false)
      .describe('Whether the sentinels are spoken to by TLS, with the files of redis.tls.'),
  })
  .prefault({});

export const redisSection = z
  .strictObject({
    url: redisUrl
      .prefault(null)
      .describe('Redis or Valkey that holds the queue. Give it in PILOTLIGHT_REDIS_URL or in a file.')
      .meta({ secret: true, whenAbsent: 'a Redis on this machine is found or started' }),
    sentinel: sentinelSection,
    cluster: z
      .strictObject({ nodes: addresses.describe('Some nodes of a Redis Cluster, host:port, instead of a URL.') })
      .prefault({}),
    username: text()
      .nullable()
      .default(null)
      .describe('User, with sentinel or cluster.')
      .meta({ whenAbsent: 'the default user' }),
    password: password
      .describe('Password, with sentinel or cluster. Give it in PILOTLIGHT_REDIS_PASSWORD.')
      .meta({ secret: true, opaque: true, whenAbsent: 'none' }),
    tls: tlsSection,
    keyPrefix: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,32}$/, {
        error: (issue) => `${show(issue.input)} is not a key prefix; use 1 to 32 letters, digits, "-" and "_"`,
      })
      .default('pilotlight')
      .describe('First part of every key, so that several programs can share a Redis.'),
  })
  .prefault({})
  .superRefine(({ url, sentinel, cluster, username, password: given, tls }, context) => {
    const refuse = (at: string[], message: string) => context.addIssue({ code: 'custom', path: at, message });
    const places = [url !== null, sentinel.nodes.length > 0, cluster.nodes.length > 0].filter(Boolean).length;
    if (places > 1) {
      refuse(['url'], 'is one of several places where Redis is said to be: give url, sentinel.nodes or cluster.nodes');
    }
    if (url !== null && (username !== null || given !== null)) {
      refuse(
        [given === null ? 'username' : 'password'],
        'is for sentinel.nodes and cluster.nodes; write it into the url',
      );
    }
    if (places === 0 && (username !== null || given !== null)) {
      refuse(
        [given === null ? 'username' : 'password'],
        'is for sentinel.nodes and cluster.nodes, and neither is given',
      );
    }
    if ((tls.certFile === null) !== (tls.keyFile === null)) {
      refuse(
        ['tls', tls.certFile === null ? 'certFile' : 'keyFile'],
        'is missing: a certificate is shown with its key',
      );
    }
    if (url !== null && tls.enabled && url.startsWith('redis:')) {
      refuse(['tls', 'enabled'], 'is true, but the url says plain text; write rediss://');
    }
  });
