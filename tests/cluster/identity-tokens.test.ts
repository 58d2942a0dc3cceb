import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { beforeAll, expect, test } from 'vitest';
import { PilotlightError } from '../../src/core/errors.ts';
import type { KubeApi } from '../../src/core/kubernetes.ts';
import { TOKEN_CACHE_OPTIONS } from '../../src/ingress/adapters/answer-cache.ts';
import { createAuthenticator } from '../../src/ingress/adapters/authenticator.ts';
import { KeyTable } from '../../src/ingress/adapters/configured-keys.ts';
import { tokenReviews } from '../../src/ingress/adapters/token-review.ts';
import { TenantMap } from '../../src/ingress/policy/tenant-map.ts';
import type { Authenticator } from '../../src/ingress/ports.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { until } from '../support/until.ts';
import { identity } from '../unit/ingress/support/fake-catalog.ts';
import type { ClusterAccess } from './support/cluster-access.ts';
import { describeCluster, openNamespace, ownCluster, useNamespace } from './support/namespace.ts';

/** The only cluster-wide rights that checking callers takes, for the ServiceAccount "gateway" of a namespace. */
function reviewRights(namespace: string): string {
  return `
apiVersion: v1
kind: ServiceAccount
metadata: {name: gateway}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: batch}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reviews-${namespace}}
rules: [{apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reviews-${namespace}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reviews-${namespace}}
subjects: [{kind: ServiceAccount, name: gateway, namespace: ${namespace}}]
`;
}

function world(kube: KubeApi, namespace: string) {
  const clock = new FakeClock(Date.now());
  const logLines: string[] = [];
  const log = createLogger({ level: 'debug', destination: { write: (line) => void logLines.push(line) } });
  const audiences = ['pilotlight'];
  const reviews = tokenReviews({ kube, audiences, clock, log, cache: TOKEN_CACHE_OPTIONS });
  const tenants = new TenantMap([
    { identity: identity({ tenant: 'acme' }), serviceAccounts: [`${namespace}/batch`], oidc: [] },
  ]);
  const authenticator = createAuthenticator({
    keys: new KeyTable([]),
    anonymous: null,
    tokens: { tenants, oidc: new Map(), serviceAccounts: { reviews, audiences } },
  });
  return { authenticator, clock, logLines };
}

function call(authenticator: Authenticator, token: string) {
  return authenticator.authenticate({ authorization: `Bearer ${token}` });
}

async function gatewayApi(cluster: ClusterAccess, namespace: string): Promise<KubeApi> {
  return cluster.apiFor(await cluster.tokenFor('gateway', namespace));
}

/** The same token as it would be an hour later: no API server gives out one that ends sooner than in ten minutes. */
async function agedToken(cluster: ClusterAccess, token: string): Promise<string> {
  const claims = decodeJwt(token);
  const aged = Object.fromEntries(
    Object.entries(claims).map(([claim, value]) => [claim, typeof value === 'number' ? value - 3_600 : value]),
  );
  const key = createPrivateKey(await readFile(join(cluster.handle.folder, 'service-account.key')));
  const { alg = '', kid = '' } = decodeProtectedHeader(token);
  return new SignJWT(aged).setProtectedHeader({ alg, kid }).sign(key);
}

/** Rights hold a moment after their binding was made. */
async function untilAnswered(authenticator: Authenticator, token: string): Promise<void> {
  await until(async () => !isUnavailable(await call(authenticator, token)), 'the right to review tokens');
}

function isUnavailable(decided: unknown): boolean {
  return decided instanceof PilotlightError && decided.code === 'identity_unavailable';
}

describeCluster('callers with ServiceAccount tokens', () => {
  const namespace = useNamespace({ prefix: 'identity' });
  beforeAll(() => namespace().apply(reviewRights(namespace().name)));
  const batchToken = (audiences = ['pilotlight']) =>
    namespace().cluster.tokenFor('batch', namespace().name, { audiences, expirationSeconds: 600 });

  test('a token for our audience is the tenant of its ServiceAccount, then without asking again', async () => {
    const { cluster, name } = namespace();
    const { authenticator } = world(await gatewayApi(cluster, name), name);
    const token = await batchToken();
    await untilAnswered(authenticator, token);
    expect(call(authenticator, token)).toMatchObject({ tenant: 'acme' });
  });

  test('one of another ServiceAccount is genuine, and told which name to add', async () => {
    const { cluster, name } = namespace();
    const { authenticator } = world(cluster.api, name);
    const token = await cluster.tokenFor('default', name, { audiences: ['pilotlight'] });
    const refusal = await call(authenticator, token);
    expect(refusal).toMatchObject({ code: 'no_tenant' });
    expect((refusal as PilotlightError).message).toContain(`ServiceAccount '${name}/default'`);
  });

  test('one for another audience is refused, also when only the API server can tell', async () => {
    const { cluster, name } = namespace();
    const { authenticator } = world(cluster.api, name);
    const refusal = await call(authenticator, await batchToken(['others']));
    expect((refusal as PilotlightError).message).toContain("must be for 'pilotlight'");
    const log = createLogger({ level: 'silent' });
    const cache = TOKEN_CACHE_OPTIONS;
    const reviews = tokenReviews({ kube: cluster.api, audiences: ['pilotlight'], clock: new FakeClock(), log, cache });
    expect(await reviews.check(await batchToken(['others']))).toEqual({
      kind: 'refused',
      why: 'is for another audience',
    });
  });

  test('one with a changed signature is refused, and stands in no log line', async () => {
    const { cluster, name } = namespace();
    const { authenticator, logLines } = world(cluster.api, name);
    const token = await batchToken();
    const [head, body] = token.split('.');
    const forged = `${head!}.${body!}.${(await batchToken(['others'])).split('.')[2]!}`;
    expect(await call(authenticator, forged)).toMatchObject({ code: 'invalid_api_key' });
    expect(logLines.join('')).not.toContain(body);
  });

  test('one that has expired is refused as such', async () => {
    const { cluster, name } = namespace();
    const { authenticator } = world(cluster.api, name);
    const refusal = await call(authenticator, await agedToken(cluster, await batchToken()));
    expect(refusal).toMatchObject({ code: 'invalid_api_key' });
    expect((refusal as PilotlightError).message).toBe('The ServiceAccount token has expired.');
  });

  test('one whose ServiceAccount is deleted ends within a minute', async () => {
    const { cluster, name } = namespace();
    const { authenticator, clock } = world(cluster.api, name);
    const token = await batchToken();
    expect(await call(authenticator, token)).toMatchObject({ tenant: 'acme' });
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'batch' } };
    await cluster.remove([account], name);
    await until(async () => {
      await clock.advance(60_000);
      return (await call(authenticator, token)) instanceof PilotlightError;
    }, 'the end of the token');
    expect(await call(authenticator, token)).toMatchObject({ code: 'invalid_api_key' });
    await cluster.apply([account], name);
  });

  test('without the right to review tokens nobody is refused as unknown; the missing right is named', async () => {
    const { cluster, name } = namespace();
    const { authenticator, logLines } = world(cluster.apiFor(cluster.userToken('tester-2')), name);
    const refusal = await call(authenticator, await batchToken());
    expect(refusal).toMatchObject({ code: 'identity_unavailable', httpStatus: 503 });
    expect((refusal as PilotlightError).message).toContain('may not create tokenreviews.authentication.k8s.io');
    expect(logLines.join('')).toContain('token_review.failed');
  });
});

describeCluster('callers while the API server is down', () => {
  test('known ones go on, new ones are asked to come back, and both count again after its restart', async () => {
    const cluster = await ownCluster();
    const namespace = await openNamespace(cluster, { prefix: 'identity-down' });
    await namespace.apply('apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: batch}\n');
    const { authenticator, clock } = world(cluster.api, namespace.name);
    const token = () =>
      cluster.tokenFor('batch', namespace.name, { audiences: ['pilotlight'], expirationSeconds: 3_600 });
    const known = await token();
    const fresh = await token();
    expect(await call(authenticator, known)).toMatchObject({ tenant: 'acme' });
    await cluster.stopApiServer('at once');
    await clock.advance(120_000);
    expect(await call(authenticator, known)).toMatchObject({ tenant: 'acme' });
    expect(await call(authenticator, fresh)).toMatchObject({ code: 'identity_unavailable', retryAfterMs: 2_000 });
    await clock.advance(15 * 60_000);
    expect(await call(authenticator, known)).toMatchObject({ code: 'identity_unavailable' });
    await cluster.startApiServer();
    await until(async () => !isUnavailable(await call(authenticator, fresh)), 'the API server answers again');
    expect(await call(authenticator, fresh)).toMatchObject({ tenant: 'acme' });
    expect(await call(authenticator, known)).toMatchObject({ tenant: 'acme' });
  });
});
