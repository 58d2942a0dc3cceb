import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { dirname, resolve } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { type Access, type Credentials, KeptAccess, type TlsMaterial } from './credentials.ts';

export interface KubeconfigOptions {
  /** At least one; later files add to the first, as kubectl does with $KUBECONFIG. */
  readonly files: readonly string[];
  /** Null = the current one. */
  readonly context: string | null;
  readonly monotonicMs: () => number;
}

/** Credential plugins look at their own expiry; this bounds how often they are asked. */
const ACCESS_AGE_MS = 10_000;
/** A plugin that asks a person in a browser takes longer than a server should wait. */
const PLUGIN_DEADLINE_MS = 30_000;
const MAX_PLUGIN_MESSAGE_CHARS = 500;

/**
 * Credentials of a kubeconfig: tokens and token files, client certificates, exec plugins, OIDC, HTTP proxy.
 * `renew` loads the files and runs the plugin again. Throws an Error that names the file and what is wrong in it.
 */
export async function openKubeconfig({ files, context, monotonicMs }: KubeconfigOptions): Promise<Credentials> {
  const describe = `kubeconfig ${files.join(', ')}`;
  let config = await load(files, context, describe);
  const cluster = clusterOf(config, describe);
  let isRefused = false;

  const read = async (): Promise<Access> => {
    if (isRefused) {
      config = await load(files, context, describe);
      isRefused = false;
    }
    return await withDeadline(accessOf(config, describe), describe);
  };
  const access = new KeptAccess(read, ACCESS_AGE_MS, monotonicMs);
  return {
    server: cluster.server.replace(/\/+$/, ''),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? null,
    describe: `${describe}, context ${config.getCurrentContext()}`,
    current: () => access.current(),
    renew() {
      isRefused = true;
      access.forget();
    },
  };
}

async function load(files: readonly string[], context: string | null, describe: string): Promise<KubeConfig> {
  // A second and 85 MB: only who reads a kubeconfig pays for it, a pod does not.
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  for (const [index, file] of files.entries()) {
    try {
      if (index === 0) config.loadFromFile(file);
      else {
        const more = new KubeConfig();
        more.loadFromFile(file);
        config.mergeConfig(more, true);
      }
      await addTokenFiles(config, file);
    } catch (error) {
      throw new Error(`kubeconfig ${file} is not usable: ${messageOf(error)}`, { cause: error });
    }
  }
  if (context !== null) {
    if (config.getContextObject(context) === null) {
      const known = config.getContexts().map(({ name }) => name);
      throw new Error(`${describe} has no context "${context}"; it has: ${known.join(', ') || 'none'}`);
    }
    config.setCurrentContext(context);
  }
  return config;
}

/** The library does not know `tokenFile`, the field that kubectl documents; its own provider of that name reads one. */
async function addTokenFiles(config: KubeConfig, file: string): Promise<void> {
  const raw = parse(await readFile(file, 'utf8')) as {
    users?: { name: string; user?: { tokenFile?: string } }[];
  } | null;
  for (const { name, user } of raw?.users ?? []) {
    if (!user?.tokenFile) continue;
    const tokenFile = resolve(dirname(file), user.tokenFile);
    const authProvider = { name: 'tokenFile', config: { tokenFile } };
    config.users = config.users.map((known) => (known.name === name ? { ...known, authProvider } : known));
  }
}

function clusterOf(config: KubeConfig, describe: string) {
  const cluster = config.getCurrentCluster();
  if (!cluster?.server) {
    throw new Error(
      `${describe}: context "${config.getCurrentContext() || ''}" names no cluster with a server; ` +
        'set current-context or kubernetes.context',
    );
  }
  if (cluster.proxyUrl?.startsWith('socks')) {
    throw new Error(`${describe}: proxy-url ${cluster.proxyUrl} is SOCKS, which is not supported; use an HTTP proxy`);
  }
  return cluster;
}

async function accessOf(config: KubeConfig, describe: string): Promise<Access> {
  const options: RequestOptions & { servername?: string } = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    const message = messageOf(error).slice(0, MAX_PLUGIN_MESSAGE_CHARS);
    throw new Error(`${describe}: credentials are not available: ${message}`, { cause: error });
  }
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value).trim();
  if (options.auth) headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  return { headers, tls: tlsOf(options), proxyUrl: config.getCurrentCluster()?.proxyUrl ?? null };
}

function tlsOf(options: RequestOptions & { servername?: string }): TlsMaterial {
  const { ca, cert, key, servername, rejectUnauthorized } = options;
  return {
    ...(ca === undefined ? {} : { ca: textOf(ca) }),
    ...(cert === undefined ? {} : { cert: textOf(cert) }),
    ...(key === undefined ? {} : { key: textOf(key) }),
    ...(servername === undefined ? {} : { servername }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
}

/** PEM, in whatever shape TLS options carry it. */
function textOf(pem: unknown): string {
  return Buffer.isBuffer(pem) ? pem.toString('utf8') : String(pem);
}

async function withDeadline<T>(work: Promise<T>, describe: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${describe}: its credential plugin did not answer within ${PLUGIN_DEADLINE_MS} ms`)),
      PLUGIN_DEADLINE_MS,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
