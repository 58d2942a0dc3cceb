import { documentSchema } from '../../src/config/document-schema.ts';
import { OWN_VALUES } from './own-values.mjs';

/** Settings that the chart writes itself, from its own values; a second place for them could only contradict. */
const SET_BY_CHART = [
  'installation',
  'namespace',
  'role',
  'kubernetes',
  'server.host',
  'server.port',
  'admin',
  'redis.url',
  'redis.username',
  'redis.password',
  'redis.sentinel.username',
  'redis.sentinel.password',
  'redis.tls.caFile',
  'redis.tls.certFile',
  'redis.tls.keyFile',
  'data',
  'jobs.enabled',
];
/** Keywords of our own that other tools do not know. */
const OUR_KEYWORDS = ['unit', 'secret', 'opaque', 'whenAbsent', '$schema'];

const keysSecret = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'key'],
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 253, description: 'Name of the Secret.' },
    key: { type: 'string', minLength: 1, maxLength: 253, description: 'Key in it: one "sha256:…" a line.' },
  },
  description: 'Secret with the hashes of its API keys, mounted by the kubelet.',
};

/** values.schema.json as an object. Draft 7, which every Helm 3 reads. */
export function valuesSchema() {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the chart pilotlight',
    type: 'object',
    additionalProperties: false,
    properties: { ...OWN_VALUES, config: configSchema() },
  };
}

function configSchema() {
  const schema = plain(documentSchema('Configuration').properties.spec);
  for (const path of SET_BY_CHART) remove(schema, path.split('.'));
  const tenant = schema.properties.tenants.items;
  delete tenant.properties.keysFile;
  tenant.properties.keysSecret = keysSecret;
  return { ...schema, description: 'Settings as in docs/configuration.md, less those that the chart writes.' };
}

/** A copy without our keywords. A property of that name is a setting and stays. */
function plain(schema, isPropertyMap = false) {
  if (Array.isArray(schema)) return schema.map((one) => plain(one));
  if (typeof schema !== 'object' || schema === null) return schema;
  const kept = Object.entries(schema).filter(([key]) => isPropertyMap || !OUR_KEYWORDS.includes(key));
  return Object.fromEntries(
    kept.map(([key, value]) => [key, key === 'default' ? value : plain(value, !isPropertyMap && key === 'properties')]),
  );
}

function remove(schema, [key, ...rest]) {
  const properties = schema?.properties;
  if (!properties || !(key in properties)) {
    throw new Error(`"${key}" is no setting any more; correct SET_BY_CHART in scripts/chart/values-schema.mjs`);
  }
  if (rest.length > 0) remove(properties[key], rest);
  else delete properties[key];
  if (rest.length > 0 && Object.keys(properties[key].properties).length === 0) delete properties[key];
}
