import { stringify } from 'yaml';
import type { ApiAccess } from './api.ts';

/** A kubeconfig that kubectl and every client library read. `token` of the access goes into the file as it is. */
export function kubeconfigText({ url, ca, token }: ApiAccess, namespace = 'default'): string {
  return text(url, ca, namespace, { token });
}

/** One whose token is read from a file again and again, as a mounted ServiceAccount token must be. For client-node only. */
export function kubeconfigWithTokenFile(url: string, ca: string, tokenFile: string, namespace: string): string {
  return text(url, ca, namespace, { 'auth-provider': { name: 'tokenFile', config: { tokenFile } } });
}

function text(url: string, ca: string, namespace: string, user: unknown): string {
  const name = 'pilotlight-test';
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name, namespace } }],
    'current-context': name,
  });
}
