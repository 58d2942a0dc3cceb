/** JSON schema of the values that are the chart's own; those under `config` come from the program's settings. */

const text = (description, extra = {}) => ({ type: 'string', description, ...extra });
const bool = (description) => ({ type: 'boolean', description });
const whole = (description, minimum, maximum) => ({ type: 'integer', description, minimum, maximum });
const name = (description) => text(description, { maxLength: 253 });
const label = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$';
/** Kubernetes' own types: the API server checks them, a copy of its schema here would only grow old. */
const free = (description) => ({ type: 'object', description });
const freeList = (description) => ({ type: 'array', items: { type: 'object' }, description });
const stringMap = (description) => ({ type: 'object', additionalProperties: { type: 'string' }, description });

function mapping(properties, description, required) {
  return {
    type: 'object',
    additionalProperties: false,
    properties,
    ...(description ? { description } : {}),
    ...(required ? { required } : {}),
  };
}

const storage = mapping(
  {
    size: text('Size of the volume.', { pattern: '^[0-9]+(Ki|Mi|Gi|Ti|k|M|G|T)?$' }),
    storageClassName: name("StorageClass. Empty: the cluster's default."),
  },
  undefined,
);

const placement = {
  podDisruptionBudget: mapping({ enabled: bool('Whether node drains take one pod at a time.') }),
  podAnnotations: stringMap('Added to the pods.'),
  podLabels: stringMap('Added to the pods.'),
  nodeSelector: stringMap('Labels that a node must have.'),
  tolerations: freeList('Taints that are no obstacle.'),
  affinity: free('Affinity of the pods.'),
  topologySpreadConstraints: freeList('Replaces the default: spread over zones and nodes where possible.'),
  priorityClassName: name('PriorityClass of the pods.'),
  extraEnv: freeList('More environment variables, such as PILOTLIGHT_… settings from a Secret.'),
  extraVolumes: freeList('More volumes.'),
  extraVolumeMounts: freeList('More mounts.'),
};

const resources = free('Requests and limits of the container.');

const workload = mapping(
  {
    apiGroup: name('API group of the workload, like apps.'),
    resource: text('Resource in the plural, like deployments.', { pattern: '^[a-z0-9]+$' }),
    name: text('Name of the workload.', { minLength: 1, maxLength: 253 }),
  },
  undefined,
  ['apiGroup', 'resource', 'name'],
);

const namespaces = {
  type: 'array',
  maxItems: 256,
  description: "Namespaces with pools. Empty: the release's own, without workloads.",
  items: mapping(
    {
      name: text('Name of the namespace.', { pattern: label, maxLength: 63 }),
      workloads: {
        type: 'array',
        items: workload,
        description: 'Workloads that may be scaled: the controller gets /scale of each, by name.',
      },
    },
    undefined,
    ['name'],
  ),
};

const image = mapping({
  repository: text('Where the image was pushed. Required: no release is published yet.'),
  tag: text("Tag. Empty: the chart's appVersion."),
  digest: text('Digest, instead of a tag.', { pattern: '^(sha256:[0-9a-f]{64})?$' }),
  pullPolicy: text('When the image is pulled.', { enum: ['Always', 'IfNotPresent', 'Never'] }),
});

const redis = mapping({
  existingSecret: mapping({
    name: name('Secret that holds the URL of Redis. Or redis.bundled, config.redis.sentinel, config.redis.cluster.'),
    key: text('Its key.', { minLength: 1 }),
  }),
  credentials: mapping({
    existingSecret: name(
      'With sentinel or cluster: Secret with any of username, password, sentinel-username, sentinel-password.',
    ),
  }),
  tls: mapping({
    existingSecret: name('Secret with ca.crt, and with a client certificate tls.crt and tls.key.'),
    clientCertificate: bool('Whether tls.crt is shown to Redis.'),
  }),
  bundled: mapping({
    enabled: bool('A single Redis beside Pilotlight, for trials.'),
    image: text('Its image.', { minLength: 1 }),
    command: { type: 'array', minItems: 1, items: { type: 'string' }, description: 'Its server program.' },
    password: text('Its password. Empty: made up once and kept; needs a Helm that sees the cluster.', {
      pattern: '^[A-Za-z0-9_-]*$',
    }),
    storage,
    resources: {
      ...resources,
      description: 'Requests and limits; 60 % of limits.memory is its maxmemory.',
      required: ['limits'],
      properties: { limits: { type: 'object', required: ['memory'] } },
    },
    nodeSelector: placement.nodeSelector,
    tolerations: placement.tolerations,
  }),
});

const gateway = mapping({
  replicas: whole('Gateways. More than one needs config.storage.kind=s3, or gateway.jobs.enabled=false.', 0, 1_000),
  jobs: mapping({
    enabled: bool('Stored work: jobs and batches, in a bucket or on a volume that one gateway has for itself.'),
    storage,
  }),
  awsCredentials: mapping({
    existingSecret: text(
      'Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for S3 and SQS. Empty: what the cloud gives to the ServiceAccount.',
    ),
  }),
  terminationGracePeriodSeconds: {
    type: ['integer', 'null'],
    minimum: 1,
    description: 'Empty: preStopSleepSeconds + config.timeouts.maxHold + config.timeouts.drain + 30 s.',
  },
  preStopSleepSeconds: whole(
    'How long a pod that leaves still accepts, until load balancers have forgotten it.',
    0,
    600,
  ),
  service: mapping({
    type: text('Type of the Service of the API.', { enum: ['ClusterIP', 'NodePort', 'LoadBalancer'] }),
    port: whole('Its port.', 1, 65_535),
    annotations: stringMap('Added to the Service.'),
  }),
  resources: {
    ...resources,
    description: 'Requests and limits; memory must exceed config.limits.heldBytes + collectedBytes.',
  },
  ...placement,
});

const controller = mapping({
  replicas: whole('Controllers: one leads, the others wait.', 0, 10),
  terminationGracePeriodSeconds: whole('A leader gives up its Lease when told to stop.', 15, 600),
  resources,
  ...placement,
});

const peers = freeList;

/** Chart values without `config`. */
export const OWN_VALUES = {
  global: free('Ignored; Helm gives it to every chart.'),
  image,
  imagePullSecrets: freeList('Secrets for pulling images.'),
  nameOverride: text("Instead of the chart's name.", { maxLength: 40 }),
  fullnameOverride: text('Instead of release and chart name.', { maxLength: 40 }),
  installation: text('Name of this Pilotlight. Empty: the full name of the release.', {
    pattern: `^$|${label}`,
    maxLength: 63,
  }),
  namespaces,
  listenAddress: text('Address the listeners bind to.', { minLength: 1 }),
  redis,
  gateway,
  controller,
  serviceAccount: mapping({
    create: bool('Whether the two ServiceAccounts are made.'),
    annotations: stringMap('Added to them.'),
    gatewayName: name('Instead of FULLNAME-gateway.'),
    controllerName: name('Instead of FULLNAME-controller.'),
  }),
  rbac: mapping({
    create: bool('Whether Roles and bindings are made.'),
    tokenReview: bool('The cluster right to ask whose a token is: for callers with ServiceAccount tokens.'),
    subjectAccessReview: bool('The cluster right to ask what somebody may do: for orders of people.'),
  }),
  crds: mapping({ install: bool('Whether the CRDs come with the release. They stay when it goes.') }),
  podSecurityContext: free('Of all pods.'),
  securityContext: free('Of all containers.'),
  networkPolicy: mapping({
    enabled: bool('Whether only those below may connect.'),
    apiFrom: peers('Peers that may call the API. Empty: every pod of the cluster.'),
    adminFrom: peers("Peers that may reach the admin port. Empty: pods of the release's namespace."),
  }),
  serviceMonitor: mapping({
    enabled: bool('Whether the Prometheus operator is told to scrape.'),
    interval: text('How often.', { pattern: '^[0-9]+(ms|s|m)$' }),
    labels: stringMap('Added to the ServiceMonitor.'),
  }),
};
