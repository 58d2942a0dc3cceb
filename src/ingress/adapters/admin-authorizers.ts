import type { Clock } from '../../core/clock.ts';
import { PilotlightError } from '../../core/errors.ts';
import { type KubeApi, kubePath } from '../../core/kubernetes.ts';
import type { Logger } from '../../core/logger.ts';
import { bearerToken, MAX_TOKEN_CHARS } from '../policy/bearer-token.ts';
import type { AdminAction, AdminAuthorizer, CallHeaders, KubeUser, TokenAnswer, TokenAuthority } from '../ports.ts';
import { AnswerCache, TOKEN_CACHE_OPTIONS } from './answer-cache.ts';
import { notAccepted, refused } from './authenticator.ts';
import { failureFields, whyUnavailable } from './token-review.ts';

/**
 * On one machine: whoever reaches the listener may read, and give orders while it is on loopback. A web page that a
 * browser on this machine shows is not that person: requests for or from another host's name are refused.
 */
export function localAdmin({ isLoopback }: { readonly isLoopback: boolean }): AdminAuthorizer {
  return {
    authorize(headers, action) {
      const problem = isRead(action) ? null : orderProblem(headers, isLoopback);
      return Promise.resolve(problem ? new PilotlightError('admin_forbidden', problem) : { by: 'local' });
    },
  };
}

const LOCAL_HOST = /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/i;

function orderProblem({ host, origin }: CallHeaders, isLoopback: boolean): string | null {
  if (!isLoopback)
    return 'Orders are taken on loopback only, or in a cluster, where callers are known; see admin.host.';
  if (typeof host !== 'string' || !LOCAL_HOST.test(host)) {
    return 'Orders are taken under the name localhost or a loopback address only.';
  }
  const isOurs = origin === undefined || origin === `http://${host}`;
  return isOurs ? null : 'Orders are not taken from web pages of others.';
}

export interface KubeAdminParts {
  readonly kube: KubeApi;
  readonly reviews: TokenAuthority<KubeUser>;
  readonly clock: Clock;
  readonly log: Logger;
}

const ACCESS_REVIEWS = kubePath({ group: 'authorization.k8s.io', version: 'v1', plural: 'subjectaccessreviews' }, null);
const REVIEW_TIMEOUT_MS = 3_000;

/** Long enough for a console that polls, short enough that a new Role works at once. A right to give orders is never given unasked. */
const ORDER_CACHE = {
  acceptedForMs: 10_000,
  refusedForMs: 3_000,
  usableForMs: 10_000,
  maxEntries: 10_000,
  maxAsking: 64,
};
/** Who may see what is going on can see it also while the API server is away: that is when it is looked for. */
const READ_CACHE = { ...ORDER_CACHE, usableForMs: TOKEN_CACHE_OPTIONS.usableForMs };

/**
 * In a cluster: the bearer of a token that the API server accepts, as far as RBAC allows the verb on the ScalePolicy:
 * get, list, wake, drain, pause (resume included).
 */
export function kubeAdmin({ kube, reviews, clock, log }: KubeAdminParts): AdminAuthorizer {
  const orders = new AnswerCache<KubeUser>(clock, ORDER_CACHE);
  const reads = new AnswerCache<KubeUser>(clock, READ_CACHE);
  const ask = async (user: KubeUser, action: AdminAction): Promise<TokenAnswer<KubeUser>> => {
    try {
      const answer = await kube.request({
        method: 'POST',
        path: ACCESS_REVIEWS,
        timeoutMs: REVIEW_TIMEOUT_MS,
        body: {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          spec: { user: user.username, uid: user.uid, groups: user.groups, extra: user.extra, ...attributesOf(action) },
        },
      });
      const isAllowed = (answer as { status?: { allowed?: boolean } } | null)?.status?.allowed === true;
      if (isAllowed) return { kind: 'accepted', subject: user, expiresAtEpochMs: null };
      return { kind: 'refused', why: `'${user.username}' may not ${describeAction(action)}` };
    } catch (thrown) {
      log.warn(failureFields(thrown, ''), 'access_review.failed');
      return { kind: 'unavailable', why: whyUnavailable(thrown, 'create subjectaccessreviews.authorization.k8s.io') };
    }
  };
  return {
    async authorize(headers, action) {
      const token = bearerToken(headers.authorization);
      if (token === undefined || token === '' || token.length > MAX_TOKEN_CHARS) {
        const how = 'as "Authorization: Bearer <token>", of at most';
        return refused(`The admin listener wants a Kubernetes token, ${how} ${MAX_TOKEN_CHARS} characters.`);
      }
      const who = await reviews.check(token);
      if (who.kind !== 'accepted') return notAccepted(who, 'The token');
      const user = who.subject;
      const may = await (isRead(action) ? reads : orders).answer(JSON.stringify([user, action]), () =>
        ask(user, action),
      );
      if (may.kind === 'accepted') return { by: user.username };
      if (may.kind === 'unavailable') return notAccepted(may, 'What the token allows');
      return new PilotlightError('admin_forbidden', `${may.why}. ${remedyFor(action)}`);
    },
  };
}

function isRead(action: AdminAction): boolean {
  return action.kind === 'metrics' || action.verb === 'get' || action.verb === 'list';
}

function attributesOf(action: AdminAction): Record<string, unknown> {
  if (action.kind === 'metrics') return { nonResourceAttributes: { path: '/metrics', verb: 'get' } };
  const { verb, namespace, name } = action;
  return {
    resourceAttributes: {
      group: 'pilotlight.dev',
      resource: 'scalepolicies',
      verb,
      namespace,
      ...(name !== null && { name }),
    },
  };
}

function describeAction(action: AdminAction): string {
  if (action.kind === 'metrics') return 'get the non-resource URL /metrics';
  const one = action.name === null ? '' : ` "${action.name}"`;
  return `${action.verb} scalepolicies.pilotlight.dev${one} in namespace "${action.namespace}"`;
}

function remedyFor(action: AdminAction): string {
  if (action.kind === 'metrics') return 'A ClusterRole with nonResourceURLs ["/metrics"] and verbs ["get"] allows it.';
  const rule = `apiGroups ["pilotlight.dev"], resources ["scalepolicies"], verbs ["${action.verb}"]`;
  return `A Role in namespace "${action.namespace}" with ${rule} allows it.`;
}
