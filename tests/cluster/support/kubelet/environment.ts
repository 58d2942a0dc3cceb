import type { Container, Pod } from './objects.ts';

/** Where references lead: the data of a ConfigMap or Secret of the pod's namespace, null when there is none. */
export interface References {
  configMap(name: string): Promise<Readonly<Record<string, string>> | null>;
  secret(name: string): Promise<Readonly<Record<string, string>> | null>;
}

export interface PodPlace {
  readonly podIp: string;
  readonly hostIp: string;
}

/** What a kubelet calls CreateContainerConfigError. */
export class ContainerConfigError extends Error {}

/** The environment that the container's spec describes, references resolved and `$(NAME)` expanded. */
export async function resolveEnvironment(
  container: Container,
  pod: Pod,
  place: PodPlace,
  references: References,
): Promise<Record<string, string>> {
  const env: Record<string, string> = {};
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const reference = configMapRef ?? secretRef;
    if (reference === undefined) continue;
    const kind = configMapRef === undefined ? 'secret' : 'configmap';
    const data = await (kind === 'secret' ? references.secret(reference.name) : references.configMap(reference.name));
    if (data === null && reference.optional !== true)
      throw new ContainerConfigError(`${kind} "${reference.name}" not found`);
    for (const [key, value] of Object.entries(data ?? {})) env[`${prefix}${key}`] = value;
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (valueFrom === undefined) {
      env[name] = expand(value ?? '', env);
      continue;
    }
    const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = valueFrom;
    if (fieldRef !== undefined) env[name] = field(fieldRef.fieldPath, pod, place);
    else if (resourceFieldRef !== undefined) env[name] = resource(resourceFieldRef.resource, container);
    else {
      const found = await keyOf(configMapKeyRef, secretKeyRef, references);
      if (found !== null) env[name] = found;
    }
  }
  return env;
}

/** `$(NAME)` of a known name; `$$(NAME)` stands for itself without one dollar; unknown names stay. */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$(\$?)\(([\w.-]+)\)/g, (whole, escaped: string, name: string) =>
    escaped === '$' ? `$(${name})` : (env[name] ?? whole),
  );
}

/** A field of the downward API. Throws a ContainerConfigError for one that is not there. */
export function field(path: string, pod: Pod, { podIp, hostIp }: PodPlace): string {
  const { metadata, spec } = pod;
  const [, map, key] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path) ?? [];
  if (key !== undefined) return metadata[map as 'labels' | 'annotations']?.[key] ?? '';
  const fields: Readonly<Record<string, string>> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'metadata.labels': lines(metadata.labels),
    'metadata.annotations': lines(metadata.annotations),
    'spec.nodeName': spec.nodeName ?? '',
    'spec.serviceAccountName': spec.serviceAccountName ?? 'default',
    'status.podIP': podIp,
    'status.podIPs': podIp,
    'status.hostIP': hostIp,
    'status.hostIPs': hostIp,
  };
  const value = fields[path];
  if (value === undefined) throw new ContainerConfigError(`unsupported fieldPath: ${path}`);
  return value;
}

function lines(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {})
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n');
}

function resource(name: string, { resources }: Container): string {
  const [list, ...rest] = name.split('.');
  return resources?.[list === 'limits' ? 'limits' : 'requests']?.[rest.join('.')] ?? '0';
}

async function keyOf(
  configMapKeyRef: { name: string; key: string; optional?: boolean } | undefined,
  secretKeyRef: { name: string; key: string; optional?: boolean } | undefined,
  references: References,
): Promise<string | null> {
  const reference = configMapKeyRef ?? secretKeyRef;
  if (reference === undefined) return null;
  const kind = configMapKeyRef === undefined ? 'secret' : 'configmap';
  const { name, key, optional } = reference;
  const data = await (kind === 'secret' ? references.secret(name) : references.configMap(name));
  const value = data?.[key];
  if (value !== undefined) return value;
  if (optional === true) return null;
  throw new ContainerConfigError(
    data === null ? `${kind} "${name}" not found` : `couldn't find key ${key} in ${kind} ${name}`,
  );
}
