import type { z } from 'zod';
import { suggestion } from '../did-you-mean.ts';
import { type JsonSchema, writtenFormOf } from '../json-schema.ts';
import { formatPath, type Problem } from '../problem.ts';
import { explainIssues } from '../schema-problems.ts';
import type { YamlDocument } from '../yaml-documents.ts';
import { noteOnKey, noteOnKind } from './not-yet.ts';
import { inferenceModelRewrite } from './schema/inference-model-rewrite.ts';
import { inferenceObjective } from './schema/inference-objective.ts';
import { inferencePool } from './schema/inference-pool.ts';
import { objectivePolicy } from './schema/objective-policy.ts';
import { scalePolicy } from './schema/scale-policy.ts';

const SCHEMAS = {
  InferencePool: inferencePool,
  InferenceObjective: inferenceObjective,
  InferenceModelRewrite: inferenceModelRewrite,
  ScalePolicy: scalePolicy,
  ObjectivePolicy: objectivePolicy,
} as const;

export type ObjectKind = keyof typeof SCHEMAS;
export const OBJECT_KINDS = Object.keys(SCHEMAS) as readonly ObjectKind[];

/** The JSON schema of each kind's written form. */
export const OBJECT_SCHEMAS = Object.fromEntries(
  OBJECT_KINDS.map((kind) => [kind, writtenFormOf(SCHEMAS[kind])]),
) as Readonly<Record<ObjectKind, JsonSchema>>;

/** One object that fits its schema. */
export interface SourceObject<Kind extends ObjectKind> {
  readonly kind: Kind;
  readonly apiVersion: string;
  readonly namespace: string;
  readonly name: string;
  /** "<namespace>/<name>" */
  readonly key: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: z.output<(typeof SCHEMAS)[Kind]>['spec'];
  readonly createdAtEpochMs: number | null;
  readonly document: YamlDocument;
  /** Where it was written, or when it was created; for people. */
  readonly origin: string;
  /** Of objects of an API server. */
  readonly generation?: number | undefined;
}

export type AnyObject = { [Kind in ObjectKind]: SourceObject<Kind> }[ObjectKind];

export interface ObjectSet {
  readonly pools: readonly SourceObject<'InferencePool'>[];
  readonly objectives: readonly SourceObject<'InferenceObjective'>[];
  readonly rewrites: readonly SourceObject<'InferenceModelRewrite'>[];
  readonly scalePolicies: readonly SourceObject<'ScalePolicy'>[];
  readonly objectivePolicies: readonly SourceObject<'ObjectivePolicy'>[];
  /** "<kind> <namespace>/<name>" of objects that are there but do not fit their schema: references to them are not dangling. */
  readonly broken: ReadonlySet<string>;
}

/** Checks every document against the schema of its kind. Objects that have a problem are left out of the set. */
export function parseObjects(
  documents: readonly YamlDocument[],
  defaultNamespace: string,
): { objects: ObjectSet; problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const broken = new Set<string>();
  const objects: AnyObject[] = [];
  for (const document of documents) {
    const kind = kindOf(document, problems);
    if (kind === undefined) continue;
    const object = parseObject(document, kind, defaultNamespace, problems);
    if (object) objects.push(object);
    else broken.add(titleOf(document, kind, defaultNamespace));
  }
  return { objects: objectSet(objects, broken), problems };
}

/** The objects by kind, the older first. */
export function objectSet(objects: readonly AnyObject[], broken: ReadonlySet<string>): ObjectSet {
  const of = <Kind extends ObjectKind>(kind: Kind) =>
    objects.filter((object): object is Extract<AnyObject, { kind: Kind }> => object.kind === kind).sort(olderFirst);
  return {
    pools: of('InferencePool'),
    objectives: of('InferenceObjective'),
    rewrites: of('InferenceModelRewrite'),
    scalePolicies: of('ScalePolicy'),
    objectivePolicies: of('ObjectivePolicy'),
    broken,
  };
}

function kindOf(document: YamlDocument, problems: Problem[]): ObjectKind | undefined {
  const { kind, apiVersion } = (document.value ?? {}) as { kind?: unknown; apiVersion?: unknown };
  const known = OBJECT_KINDS.find((one) => one === kind);
  if (known) return known;
  const report = (path: string[], message: string, severity: Problem['severity'] = 'error') =>
    problems.push({ severity, source: document.locate(path), object: null, path: path.join('.'), message });
  if (typeof kind !== 'string') {
    report([], `not an object: "kind" is missing; write one of ${[...OBJECT_KINDS, 'Configuration'].join(', ')}`);
  } else if (noteOnKind(kind) !== undefined) {
    report(['kind'], noteOnKind(kind) ?? '');
  } else if (typeof apiVersion === 'string' && !/^pilotlight\.dev|^inference\.|^llm-d\./.test(apiVersion)) {
    report(['kind'], `"${apiVersion} ${kind}" is not one of Pilotlight's kinds; it is ignored`, 'warning');
  } else {
    report(['kind'], `unknown kind "${kind}"; ${suggestion(kind, [...OBJECT_KINDS, 'Configuration'])}`);
  }
  return undefined;
}

/** The object of one document; undefined when it does not fit its schema, which is told in `problems`. */
export function parseObject(
  document: YamlDocument,
  kind: ObjectKind,
  defaultNamespace: string,
  problems: Problem[],
): AnyObject | undefined {
  const parsed = SCHEMAS[kind].safeParse(document.value, { reportInput: true });
  if (!parsed.success) {
    const note = (path: readonly PropertyKey[]) => noteOnKey(kind, path);
    const object = titleOf(document, kind, defaultNamespace);
    for (const issue of explainIssues(parsed.error.issues, OBJECT_SCHEMAS[kind], document.value, note)) {
      const source = document.locate(issue.path, issue.onKey);
      problems.push({ severity: 'error', source, object, path: formatPath(issue.path), message: issue.message });
    }
    return undefined;
  }
  const { apiVersion, metadata, spec } = parsed.data;
  const namespace = metadata.namespace ?? defaultNamespace;
  return {
    kind,
    apiVersion,
    namespace,
    name: metadata.name,
    key: `${namespace}/${metadata.name}`,
    labels: metadata.labels,
    spec,
    createdAtEpochMs: metadata.creationTimestamp == null ? null : Date.parse(metadata.creationTimestamp),
    document,
    origin: document.locate([]),
  } as AnyObject;
}

/** Keys of `value` that its schema does not have. */
export function unknownKeysOf(kind: ObjectKind, value: unknown): (readonly PropertyKey[])[] {
  const issues = SCHEMAS[kind].safeParse(value).error?.issues ?? [];
  return issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [],
  );
}

/** "ScalePolicy default/tickets", as far as it can be read. */
function titleOf(document: YamlDocument, kind: ObjectKind, defaultNamespace: string): string {
  const { metadata } = document.value as { metadata?: { name?: unknown; namespace?: unknown } };
  const part = (value: unknown, otherwise: string) => (typeof value === 'string' ? value : otherwise);
  return `${kind} ${part(metadata?.namespace, defaultNamespace)}/${part(metadata?.name, '(unnamed)')}`;
}

/** By creation where it is known; the sort is stable, so otherwise the order of the files decides. */
function olderFirst(a: AnyObject, b: AnyObject): number {
  const [ageA, ageB] = [a.createdAtEpochMs ?? Number.MAX_VALUE, b.createdAtEpochMs ?? Number.MAX_VALUE];
  return ageA - ageB;
}
