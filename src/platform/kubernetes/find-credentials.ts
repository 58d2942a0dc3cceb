import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { type Access, type Credentials, KeptAccess } from './credentials.ts';
import { openKubeconfig } from './kubeconfig.ts';

export interface CredentialOptions {
  /** Setting `kubernetes.kubeconfig`. */
  readonly kubeconfig: string | null;
  /** Setting `kubernetes.context`. */
  readonly context: string | null;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly homeFolder?: string;
  /** Where the kubelet mounts the ServiceAccount. */
  readonly serviceAccountFolder?: string;
  readonly monotonicMs: () => number;
}

const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The kubelet renews a projected token at 80 % of its life (an hour or more); client-go also reads it every minute. */
const TOKEN_FILE_AGE_MS = 60_000;

/**
 * The first that exists of: the kubeconfig that is configured, the pod's ServiceAccount, `$KUBECONFIG`,
 * `~/.kube/config`. A configured context means a kubeconfig, so the ServiceAccount is skipped then.
 * Throws an Error that names what was looked for.
 */
export async function findCredentials(options: CredentialOptions): Promise<Credentials> {
  const { kubeconfig, context, env = process.env, monotonicMs } = options;
  if (kubeconfig !== null) return await openKubeconfig({ files: [kubeconfig], context, monotonicMs });
  const folder = options.serviceAccountFolder ?? SERVICE_ACCOUNT_FOLDER;
  const host = env['KUBERNETES_SERVICE_HOST'];
  if (context === null && host) {
    const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
    if (await isReadable(join(folder, 'token'))) {
      return await openServiceAccount(folder, `https://${isIPv6(host) ? `[${host}]` : host}:${port}`, monotonicMs);
    }
  }
  const named = (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  const files = named.length > 0 ? named : [join(options.homeFolder ?? homedir(), '.kube', 'config')];
  const readable: string[] = [];
  for (const file of files) if (await isReadable(file)) readable.push(file);
  if (readable.length === 0) {
    throw new Error(
      `no way to the API server: no ServiceAccount token in ${folder} and no kubeconfig at ${files.join(', ')}; ` +
        'set kubernetes.kubeconfig, or run in a pod whose automountServiceAccountToken is not false',
    );
  }
  return await openKubeconfig({ files: readable, context, monotonicMs });
}

/** The pod's own identity. The token is read again each minute and after a refusal. */
export async function openServiceAccount(
  folder: string,
  server: string,
  monotonicMs: () => number,
): Promise<Credentials> {
  const namespace = (await readFile(join(folder, 'namespace'), 'utf8').catch(() => '')).trim();
  const read = async (): Promise<Access> => {
    const [token, ca] = await Promise.all([
      readFile(join(folder, 'token'), 'utf8'),
      readFile(join(folder, 'ca.crt'), 'utf8').catch(() => ''),
    ]);
    return {
      headers: { authorization: `Bearer ${token.trim()}` },
      tls: ca === '' ? {} : { ca },
      proxyUrl: null,
    };
  };
  const access = new KeptAccess(read, TOKEN_FILE_AGE_MS, monotonicMs);
  return {
    server,
    namespace: namespace === '' ? null : namespace,
    describe: `ServiceAccount in ${folder}`,
    current: () => access.current(),
    renew: () => access.forget(),
  };
}

async function isReadable(file: string): Promise<boolean> {
  return await readFile(file).then(
    () => true,
    () => false,
  );
}
