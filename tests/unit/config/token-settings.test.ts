import { describe, expect, test } from 'vitest';
import { loadOk, loadProblems } from './support.ts';

const HASH = `sha256:${'a'.repeat(64)}`;
const ISSUER = '  auth: {oidc: [{issuer: "https://id.example", audiences: [pilotlight]}]}\n';
const KUBE = '  kubernetes: {enabled: true}\n';

describe('tokens', () => {
  test('nothing set: no issuers, no ServiceAccounts, metrics open', () => {
    expect(loadOk({}).config.auth).toMatchObject({
      serviceAccounts: { enabled: false, audiences: ['pilotlight'] },
      oidc: [],
      protectMetrics: false,
    });
  });

  test('an issuer comes with safe defaults', () => {
    const { config } = loadOk({ spec: `${ISSUER}  tenants: [{name: a, oidc: [{issuer: "https://id.example"}]}]\n` });
    expect(config.auth.oidc).toEqual([
      {
        issuer: 'https://id.example',
        audiences: ['pilotlight'],
        jwksUrl: null,
        algorithms: ['RS256', 'ES256', 'PS256', 'EdDSA'],
        usernameClaim: 'sub',
        tenantClaim: null,
        clockToleranceMs: 30_000,
      },
    ]);
    expect(config.tenants[0]!.oidc).toEqual([{ issuer: 'https://id.example', subject: null, claim: null }]);
  });

  test('a tenant that lists ServiceAccounts turns their tokens on', () => {
    const { config } = loadOk({ spec: `${KUBE}  tenants: [{name: a, serviceAccounts: [team-a/batch]}]\n` });
    expect(config.auth.serviceAccounts.enabled).toBe(true);
    expect(config.tenants[0]!.serviceAccounts).toEqual(['team-a/batch']);
  });

  test('an issuer that names tenants itself may name one without keys', () => {
    const spec = ISSUER.replace('audiences', 'tenantClaim: org, audiences');
    expect(loadProblems({ spec: `${spec}  tenants: [{name: a}]\n` })).toEqual([]);
  });
});

describe('refused with a remedy', () => {
  test.each([
    {
      name: 'ServiceAccounts without an API server',
      spec: '  auth: {serviceAccounts: {enabled: true}, protectMetrics: true}\n  tenants: [{name: a, serviceAccounts: [x/y]}]\n',
      want: [
        'app.yaml:4:37: auth.serviceAccounts.enabled: needs an API server to ask; set kubernetes.enabled: true',
        'app.yaml:4:60: auth.protectMetrics: needs an API server to ask; set kubernetes.enabled: true',
        'app.yaml:5:40: tenants[0].serviceAccounts: needs an API server to ask; set kubernetes.enabled: true',
      ],
    },
    {
      name: 'ServiceAccounts that are turned off, malformed, or of two tenants',
      spec: `${KUBE}  auth: {serviceAccounts: {enabled: false}}\n  tenants: [{name: a, serviceAccounts: [x/y]}, {name: b, serviceAccounts: [x/y]}]\n`,
      want: [
        'app.yaml:6:40: tenants[0].serviceAccounts: do not count, because auth.serviceAccounts.enabled is false; remove one of the two',
        'app.yaml:6:75: tenants[1].serviceAccounts: do not count, because auth.serviceAccounts.enabled is false; remove one of the two',
        'app.yaml:6:76: tenants[1].serviceAccounts[0]: "x/y" belongs to tenant "a" already; one caller is one tenant',
      ],
    },
    {
      name: 'a ServiceAccount as the API server writes it',
      spec: `${KUBE}  tenants: [{name: a, serviceAccounts: ["system:serviceaccount:x:y"]}]\n`,
      want: [
        'app.yaml:5:41: tenants[0].serviceAccounts[0]: "system:serviceaccount:x:y" is not a ServiceAccount; write "namespace/name"',
      ],
    },
    {
      name: 'issuers over http, twice, and with a password',
      spec:
        '  auth:\n    oidc:\n      - {issuer: "http://id.example", audiences: [a]}\n' +
        '      - {issuer: "https://b.example", audiences: [a], jwksUrl: "http://b.example/keys"}\n' +
        '      - {issuer: "https://b.example", audiences: [a]}\n      - {issuer: "https://u:p@c.example", audiences: [a]}\n' +
        '      - {issuer: "http://127.0.0.1:9/ok", audiences: [a]}\n      - {issuer: id.example, audiences: [a]}\n',
      want: [
        'app.yaml:6:18: auth.oidc[0].issuer: "http://id.example" is not secure; use https (http only for a loopback address)',
        'app.yaml:7:64: auth.oidc[1].jwksUrl: "http://b.example/keys" is not secure; use https (http only for a loopback address)',
        'app.yaml:8:18: auth.oidc[2].issuer: is auth.oidc[1] too; one entry for each issuer',
        'app.yaml:9:18: auth.oidc[3].issuer: must not hold a user or password',
        'app.yaml:11:18: auth.oidc[5].issuer: "id.example" is not a URL; write it like "https://issuer.example"',
      ],
    },
    {
      name: 'a shared-secret algorithm, no audience, and too much tolerance',
      spec: '  auth: {oidc: [{issuer: "https://a.example", audiences: [], algorithms: [HS256], clockTolerance: 1h}]}\n',
      want: [
        'app.yaml:4:58: auth.oidc[0].audiences: must have at least 1 entry',
        'app.yaml:4:75: auth.oidc[0].algorithms[0]: "HS256" is not allowed; did you mean "RS256"?',
        'app.yaml:4:99: auth.oidc[0].clockTolerance: must be at most "5m"',
      ],
    },
    {
      name: 'subjects of an unknown issuer, and of two tenants',
      spec: `${ISSUER}  tenants:\n    - {name: a, oidc: [{issuer: "https://id.example", subject: s}]}\n    - {name: b, oidc: [{issuer: "https://id.example", subject: s}, {issuer: "https://id.example/"}]}\n`,
      want: [
        'app.yaml:7:24: tenants[1].oidc[0]: the same subject belongs to tenant "a" already; one caller is one tenant',
        'app.yaml:7:77: tenants[1].oidc[1].issuer: "https://id.example/" is not in auth.oidc; add it there, exactly as written here',
      ],
    },
  ])('$name', ({ spec, want }) => {
    expect(loadProblems({ spec })).toEqual(want);
  });

  test('keys and tokens of one tenant go together', () => {
    const spec = `${KUBE}${ISSUER}  tenants: [{name: a, keys: ["${HASH}"], serviceAccounts: [x/y], oidc: [{issuer: "https://id.example", claim: {name: groups, value: g}}]}]\n`;
    expect(loadProblems({ spec })).toEqual([]);
  });
});
