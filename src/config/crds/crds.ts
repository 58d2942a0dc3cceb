import { stringify } from 'yaml';
import { type JsonSchema, writtenFormOf } from '../json-schema.ts';
import { OBJECT_SCHEMAS } from '../objects/parse-objects.ts';
import { API_VERSION } from '../schema/configuration.ts';
import { objectivePolicyStatus, scalePolicyStatus } from './status-schemas.ts';
import { type CelRule, type StructuralSchema, structural } from './structural-schema.ts';

/** The CustomResourceDefinitions of Pilotlight, made from the schemas that the program itself checks objects with. */

type OwnKind = 'ScalePolicy' | 'ObjectivePolicy';
const [GROUP = '', VERSION = ''] = API_VERSION.split('/');

/** What zod cannot say, by the path of the field. */
type Extras = Readonly<Record<string, StructuralSchema>>;

const mapBy = (...keys: string[]): StructuralSchema => ({
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': keys,
});
const ATOMIC: StructuralSchema = { 'x-kubernetes-map-type': 'atomic' };
const rules = (...list: CelRule[]): StructuralSchema => ({ 'x-kubernetes-validations': list });

/** Whether duration `a` is longer than `b`. CEL knows no days: with those the controller judges, in the status. */
const isLonger = (a: string, b: string) =>
  `${a}.contains('d') || ${b}.contains('d') || duration(${a}) > duration(${b})`;

const SCALE_POLICY: Extras = {
  '': rules(
    {
      rule: 'has(self.poolRef) != has(self.pool)',
      message: 'give exactly one of poolRef (an InferencePool) and pool (selector and targetPorts)',
    },
    {
      rule: 'self.targets.all(a, self.targets.exists_one(b, b.scaleTargetRef == a.scaleTargetRef))',
      message: 'two targets have the same scaleTargetRef; remove one',
      fieldPath: '.targets',
    },
  ),
  poolRef: ATOMIC,
  'pool.selector': ATOMIC,
  'pool.selector.matchLabels': {
    minProperties: 1,
    maxProperties: 64,
    ...rules({ rule: 'self.all(key, key.size() <= 317)', message: 'a label has 317 characters at most' }),
  },
  'pool.targetPorts': mapBy('number'),
  models: mapBy('name'),
  'models[].aliases': { 'x-kubernetes-list-type': 'set' },
  targets: mapBy('name'),
  'targets[]': rules({
    rule: 'self.minReplicas <= self.maxReplicas',
    message: 'minReplicas is more than maxReplicas; lower it or raise maxReplicas',
    fieldPath: '.minReplicas',
  }),
  'targets[].scaleTargetRef': ATOMIC,
  boot: rules({
    // The API server also tries it on the bare default {}.
    rule: `!has(self.timeout) || !has(self.expectedDuration) || ${isLonger('self.timeout', 'self.expectedDuration')}`,
    message: 'timeout is not longer than expectedDuration, so every boot would be called stuck; raise it',
    fieldPath: '.timeout',
  }),
};

const OBJECTIVE_POLICY: Extras = {
  '': rules(
    { rule: 'self.targetRefs.size() > 0 || has(self.className)', message: 'give targetRefs or className' },
    {
      rule: `self.activation == 'Immediate' || !has(self.queueTtl) || ${isLonger('self.queueTtl', 'self.maxWait')}`,
      message: 'queueTtl is not longer than maxWait, so work may be evicted before it wakes the pool; raise it',
      fieldPath: '.queueTtl',
    },
  ),
  targetRefs: mapBy('group', 'kind', 'name'),
};

const STATUS: Extras = { conditions: mapBy('type'), targets: mapBy('name') };

interface Column {
  readonly name: string;
  readonly type: 'integer' | 'string' | 'date';
  readonly jsonPath: string;
  readonly description?: string;
}
const AGE: Column = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

/** File name → text, as it stands in infra/crds. */
export function crdFiles(): Readonly<Record<string, string>> {
  return {
    [fileName('scalepolicies')]: yamlOf(
      crd('ScalePolicy', 'scalepolicies', 'scalepol', scalePolicySchema(), [
        { name: 'Ready', type: 'integer', jsonPath: '.status.readyReplicas' },
        { name: 'Booting', type: 'integer', jsonPath: '.status.bootingReplicas' },
        { name: 'Desired', type: 'integer', jsonPath: '.status.desiredReplicas' },
        { name: 'Queued', type: 'integer', jsonPath: '.status.queued' },
        {
          name: 'Oldest',
          type: 'date',
          jsonPath: '.status.oldestQueuedAt',
          description: 'Age of the oldest that waits',
        },
        { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
        AGE,
      ]),
    ),
    [fileName('objectivepolicies')]: yamlOf(
      crd('ObjectivePolicy', 'objectivepolicies', 'objpol', objectivePolicySchema(), [
        { name: 'Activation', type: 'string', jsonPath: '.spec.activation' },
        { name: 'Accepted', type: 'string', jsonPath: '.status.conditions[?(@.type=="Accepted")].status' },
        AGE,
      ]),
    ),
  };
}

function fileName(plural: string): string {
  return `${GROUP}_${plural}.yaml`;
}

function scalePolicySchema(): StructuralSchema {
  const { properties = {}, ...spec } = OBJECT_SCHEMAS.ScalePolicy.properties?.['spec'] ?? {};
  const { items: target, ...targets } = properties['targets'] ?? {};
  // Commands exist in files only: an object of the API must not start anything on the machine of its controller.
  const { process: _process, ...fields } = target?.properties ?? {};
  const required = [...(target?.required ?? []), 'scaleTargetRef'];
  const served = { ...targets, items: { ...target, properties: fields, required } };
  const schema = structural({ ...spec, properties: { ...properties, targets: served } }, 'spec');
  return versionSchema(withExtras(schema, SCALE_POLICY), statusOf(scalePolicyStatus));
}

function objectivePolicySchema(): StructuralSchema {
  const schema = structural(OBJECT_SCHEMAS.ObjectivePolicy.properties?.['spec'] ?? {}, 'spec');
  return versionSchema(withExtras(schema, OBJECTIVE_POLICY), statusOf(objectivePolicyStatus));
}

function statusOf(schema: Parameters<typeof writtenFormOf>[0]): StructuralSchema {
  const written: JsonSchema = writtenFormOf(schema);
  const { required: _required, ...status } = structural(written, 'status');
  // A status is written by one writer as a whole; `kubectl patch` of a part must not be refused for another part.
  return withExtras(status, STATUS);
}

function versionSchema(spec: StructuralSchema, status: StructuralSchema): StructuralSchema {
  return {
    type: 'object',
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      spec,
      status,
    },
    required: ['spec'],
  };
}

/** `schema` with each extra put at its path. Throws for a path that the schema does not have, STATUS excepted. */
function withExtras(schema: StructuralSchema, extras: Extras): StructuralSchema {
  for (const [path, extra] of Object.entries(extras)) {
    const field = path
      .split(/\.|(?=\[\])/)
      .filter((key) => key !== '')
      .reduce<StructuralSchema | undefined>(
        (here, key) => (key === '[]' ? here?.items : here?.properties?.[key]),
        schema,
      );
    if (field) Object.assign(field, extra);
    else if (extras !== STATUS) throw new TypeError(`there is no field "${path}"`);
  }
  return schema;
}

function crd(kind: OwnKind, plural: string, shortName: string, schema: StructuralSchema, columns: readonly Column[]) {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames: [shortName],
        categories: ['pilotlight'],
      },
      scope: 'Namespaced',
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          additionalPrinterColumns: columns,
          subresources: { status: {} },
          schema: { openAPIV3Schema: schema },
        },
      ],
    },
  };
}

function yamlOf(object: unknown): string {
  return `# Written by: npx pilotlight config write-crds infra/crds\n${stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}
