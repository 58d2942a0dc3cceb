import type { Registry } from 'prom-client';
import { isLoopback } from '../config/config.ts';
import { followKeyFiles } from '../config/key-files.ts';
import { asError } from '../core/errors.ts';
import type { KubeApi } from '../core/kubernetes.ts';
import { kubeAdmin, localAdmin } from '../ingress/adapters/admin-authorizers.ts';
import { type AnswerCacheOptions, TOKEN_CACHE_OPTIONS } from '../ingress/adapters/answer-cache.ts';
import { createAuthenticator, type TokenParts } from '../ingress/adapters/authenticator.ts';
import { KeyTable } from '../ingress/adapters/configured-keys.ts';
import { oidcIssuer } from '../ingress/adapters/oidc-issuer.ts';
import { tokenReviews } from '../ingress/adapters/token-review.ts';
import { tokenMetrics } from '../ingress/metrics.ts';
import { TenantMap } from '../ingress/policy/tenant-map.ts';
import type { AdminAuthorizer, Authenticator, KubeUser, TokenAuthority } from '../ingress/ports.ts';
import { systemClock } from '../platform/clock.ts';
import type { ProcessBase } from './process-options.ts';

export interface Identities {
  /** Who calls. */
  readonly authenticator: Authenticator;
  /** Who may do what on the admin listener. */
  readonly admin: AdminAuthorizer;
}

/** Everybody whom the configuration lets in. `kube` null = one machine, without an API server. */
export function openIdentities(base: ProcessBase, registry: Registry, kube: KubeApi | null): Identities {
  const { config, log } = base;
  if (config.kubernetes.enabled && !kube)
    throw new Error('kubernetes.enabled without a connection to ask who callers are');
  const { checks } = tokenMetrics(registry);
  const cacheOf = (kind: 'oidc' | 'service_account'): AnswerCacheOptions => ({
    ...TOKEN_CACHE_OPTIONS,
    onAnswer: (outcome) => checks.inc({ kind, outcome }),
  });
  const { audiences } = config.auth.serviceAccounts;
  const clock = systemClock;
  const reviews = kube && tokenReviews({ kube, audiences, clock, log, cache: cacheOf('service_account') });
  const authenticator = createAuthenticator({
    keys: followedKeys(base),
    anonymous: config.auth.anonymous,
    tokens: tokenParts(base, reviews, cacheOf('oidc')),
  });
  const admin =
    kube && reviews
      ? kubeAdmin({ kube, reviews, clock, log })
      : localAdmin({ isLoopback: isLoopback(config.admin.host) });
  return { authenticator, admin };
}

/** Null when only keys are configured, which keeps every check a look-up. */
function tokenParts(
  { config, log }: ProcessBase,
  reviews: TokenAuthority<KubeUser> | null,
  cache: AnswerCacheOptions,
): TokenParts | null {
  const { oidc, serviceAccounts } = config.auth;
  if (oidc.length === 0 && !serviceAccounts.enabled) return null;
  return {
    tenants: new TenantMap(config.tenants),
    oidc: new Map(oidc.map((issuer) => [issuer.issuer, oidcIssuer(issuer, { clock: systemClock, log, cache })])),
    serviceAccounts: serviceAccounts.enabled && reviews ? { reviews, audiences: serviceAccounts.audiences } : null,
  };
}

/** API keys; those in files are followed. */
function followedKeys({ config, log, closers }: ProcessBase): KeyTable {
  const table = new KeyTable(config.tenants);
  const files = followKeyFiles(config.tenants, {
    changed(tenants) {
      try {
        table.replace(tenants);
        log.info({ tenants: tenants.length }, 'keys.reloaded');
      } catch (thrown) {
        log.error({ problems: asError(thrown).message }, 'keys.refused');
      }
    },
    refused: (problems) => log.error({ problems }, 'keys.refused'),
  });
  if (files) closers.add('key files', () => files.close());
  return table;
}
