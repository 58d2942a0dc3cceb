// The dependency rules of ARCHITECTURE.md. tests/architecture proves that each rule fires on a planted violation.
const areas = 'ingress|queue|dispatcher|autoscaler|picker|batch|webhooks|sqs|console';

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'core-imports-nothing', severity: 'error', from: { path: '^src/core/' }, to: { pathNot: '^src/core/' } },
    {
      name: 'policy-is-pure',
      comment: 'A policy imports the core and its own policy folder only.',
      severity: 'error',
      from: { path: '^src/([^/]+)/policy/' },
      to: { pathNot: ['^src/core/', '^src/$1/policy/'] },
    },
    {
      name: 'areas-meet-in-roles',
      severity: 'error',
      from: { path: `^src/(${areas})/` },
      to: { path: `^src/(${areas}|roles|cli|simulate|model-sim)/`, pathNot: '^src/$1/' },
    },
    {
      name: 'platform-knows-no-area',
      severity: 'error',
      from: { path: '^src/platform/' },
      to: { path: `^src/(${areas}|roles|cli|config|simulate|model-sim)/` },
    },
    {
      name: 'config-knows-only-the-core',
      severity: 'error',
      from: { path: '^src/config/' },
      to: { path: '^src/', pathNot: '^src/(config|core)/' },
    },
    {
      name: 'loops-never-import-adapters',
      comment: 'Outside adapters/ an area speaks to the world through ports; roles/ hands it the adapters.',
      severity: 'error',
      from: { path: `^src/(${areas})/`, pathNot: '/adapters/' },
      to: { path: `^src/(${areas})/adapters/|^src/platform/` },
    },
    {
      name: 'npm-packages-only-at-the-edge',
      severity: 'error',
      from: { path: `^src/(core|${areas})/`, pathNot: [`^src/(${areas})/adapters/`, '/metrics\\.ts$'] },
      to: { dependencyTypes: ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'one-way-to-kubernetes',
      comment: 'One place that opens connections to the API server, with its deadlines and its credentials.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/platform/kubernetes/' },
      to: { path: 'node_modules/@kubernetes/' },
    },
    {
      name: 'src-never-imports-tests',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(tests|bench|examples|scripts)/' },
    },
    {
      name: 'no-dev-packages-in-src',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'] },
    },
    { name: 'everything-resolves', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
