import type { KubeRequest } from '../../core/kubernetes.ts';

const VERBS = { GET: 'get', POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' } as const;

/** Verb as in RBAC and "PLURAL[/SUBRESOURCE]"; paths outside namespaces are "other", so that labels stay few. */
export function labelsOf(method: KubeRequest['method'], path: string, isWatch = false) {
  const found = /^\/api(?:s\/[^/]+)?\/[^/]+\/namespaces\/[^/]+\/([^/]+)(?:\/([^/]+)(?:\/([^/]+))?)?$/.exec(path);
  const flat = /^\/apis\/[^/]+\/[^/]+\/(\w+reviews)$/.exec(path);
  const [, plural, name, subresource] = found ?? flat ?? [];
  const verb = isWatch
    ? 'watch'
    : method === 'GET' && plural !== undefined && name === undefined
      ? 'list'
      : VERBS[method];
  return { verb, resource: plural === undefined ? 'other' : subresource ? `${plural}/${subresource}` : plural };
}
