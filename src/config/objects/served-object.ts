import type { KubeObject, KubeResource } from '../../core/kubernetes.ts';
import { formatPath, type Problem } from '../problem.ts';
import type { YamlDocument } from '../yaml-documents.ts';
import { type AnyObject, type ObjectKind, parseObject, unknownKeysOf } from './parse-objects.ts';

/** What stands where a file has its name and line. */
export const SERVED_SOURCE = 'kubernetes';

/** One object of an API server, read. */
export interface ServedObject {
  readonly kind: ObjectKind;
  readonly namespace: string;
  readonly name: string;
  /** "<kind> <namespace>/<name>": one object, whatever its version. */
  readonly title: string;
  readonly uid: string | null;
  /** Installation that a ScalePolicy is for; null = any, or another kind. */
  readonly className: string | null;
  /** 0 = the server tells none. */
  readonly generation: number;
  /** Differs when anything differs that a catalog is made of; a status does not count. */
  readonly fingerprint: string;
  /** Null when it does not fit its schema. */
  readonly newest: AnyObject | null;
  readonly problems: readonly Problem[];
}

/** Cheap, and equal for two states of an object between which only its status changed. */
export function fingerprintOf({ apiVersion, metadata }: KubeObject): string {
  const version = metadata.generation ?? metadata.resourceVersion ?? '';
  return JSON.stringify([apiVersion ?? '', metadata.uid ?? '', version, metadata.labels ?? {}]);
}

/** "ScalePolicy default/tickets" */
export function titleOfServed(kind: ObjectKind, { metadata }: KubeObject): string {
  return `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
}

/**
 * Reads an object as leniently as is safe: its CRD has checked it, so keys that this version does not know come from a
 * newer one. They are left out and told.
 */
export function readServed(kind: ObjectKind, resource: KubeResource, object: KubeObject): ServedObject {
  const { name, namespace = '', labels = {}, creationTimestamp, uid, generation } = object.metadata;
  const value = {
    apiVersion: object.apiVersion ?? `${resource.group}/${resource.version}`,
    kind,
    metadata: { name, namespace, labels, ...(creationTimestamp === undefined ? {} : { creationTimestamp }) },
    spec: object.spec ?? {},
  };
  const document: YamlDocument = { file: '', value, locate: () => SERVED_SOURCE };
  const title = titleOfServed(kind, object);
  const problems: Problem[] = [];
  let parsed = parseObject(document, kind, namespace, problems);
  const unknown = parsed ? [] : unknownKeysOf(kind, value);
  if (unknown.length > 0) {
    problems.length = 0;
    parsed = parseObject({ ...document, value: withoutKeys(value, unknown) }, kind, namespace, problems);
    problems.push(...unknown.map((path) => unknownKeyProblem(title, path)));
  }
  return {
    kind,
    namespace,
    name,
    title,
    uid: uid ?? null,
    className: kind === 'ScalePolicy' ? classNameOf(object.spec) : null,
    generation: generation ?? 0,
    fingerprint: fingerprintOf(object),
    newest: parsed ? { ...parsed, origin: `created ${creationTimestamp ?? 'at an unknown time'}`, generation } : null,
    problems,
  };
}

function classNameOf(spec: unknown): string | null {
  const className = (spec as { readonly className?: unknown } | null | undefined)?.className;
  return typeof className === 'string' ? className : null;
}

function unknownKeyProblem(title: string, path: readonly PropertyKey[]): Problem {
  const message = 'is not known to this version of Pilotlight and is ignored; update Pilotlight or remove it';
  return { severity: 'warning', source: SERVED_SOURCE, object: title, path: formatPath(path), message };
}

function withoutKeys(value: unknown, paths: readonly (readonly PropertyKey[])[]): unknown {
  const copy: unknown = structuredClone(value);
  for (const path of paths) {
    const parent = path.slice(0, -1).reduce((here, key) => (here as Record<PropertyKey, unknown>)[key], copy);
    Reflect.deleteProperty(parent as object, path.at(-1) ?? '');
  }
  return copy;
}
