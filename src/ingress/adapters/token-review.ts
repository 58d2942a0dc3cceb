import type { Clock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import { type KubeApi, KubeApiError, kubePath } from '../../core/kubernetes.ts';
import type { Logger } from '../../core/logger.ts';
import { uncheckedExpiry } from '../policy/bearer-token.ts';
import type { KubeUser, TokenAnswer, TokenAuthority } from '../ports.ts';
import { AnswerCache, type AnswerCacheOptions } from './answer-cache.ts';

export interface TokenReviewParts {
  readonly kube: KubeApi;
  /** A token must be for one of them; empty = for the API server itself. */
  readonly audiences: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly cache: AnswerCacheOptions;
}

const REVIEWS = kubePath({ group: 'authentication.k8s.io', version: 'v1', plural: 'tokenreviews' }, null);
/** A caller waits for it; a healthy API server needs a few milliseconds. */
const REVIEW_TIMEOUT_MS = 3_000;

interface ReviewStatus {
  readonly authenticated?: boolean;
  readonly user?: Partial<KubeUser>;
  readonly audiences?: readonly string[];
  readonly error?: string;
}

/** Asks the API server whose a token is, with TokenReview. */
export function tokenReviews({ kube, audiences, clock, log, cache }: TokenReviewParts): TokenAuthority<KubeUser> {
  const answers = new AnswerCache<KubeUser>(clock, cache);
  let isDown = false;
  const review = async (token: string): Promise<TokenAnswer<KubeUser>> => {
    try {
      const answer = await kube.request({
        method: 'POST',
        path: REVIEWS,
        timeoutMs: REVIEW_TIMEOUT_MS,
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec: { token, ...(audiences.length > 0 && { audiences }) },
        },
      });
      if (isDown) log.info({}, 'token_review.available');
      isDown = false;
      const status = (answer as { status?: ReviewStatus } | null)?.status ?? {};
      return answerOf(status, audiences, uncheckedExpiry(token));
    } catch (thrown) {
      if (!isDown) log.warn(failureFields(thrown, token), 'token_review.failed');
      isDown = true;
      return { kind: 'unavailable', why: whyUnavailable(thrown, 'create tokenreviews.authentication.k8s.io') };
    }
  };
  return { check: (token) => answers.answer(token, () => review(token)) };
}

function answerOf(
  status: ReviewStatus,
  wanted: readonly string[],
  expiresAtEpochMs: number | null,
): TokenAnswer<KubeUser> {
  const { username } = status.user ?? {};
  if (status.authenticated !== true || username === undefined || username === '') {
    return { kind: 'refused', why: refusalOf(status.error ?? '') };
  }
  // A server that knows no audiences accepts a token for anybody; only one that repeats ours has looked.
  if (wanted.length > 0 && !(status.audiences ?? []).some((one) => wanted.includes(one))) {
    return { kind: 'refused', why: 'is for another audience' };
  }
  const { uid = '', groups = [], extra = {} } = status.user ?? {};
  return { kind: 'accepted', subject: { username, uid, groups, extra }, expiresAtEpochMs };
}

/** In words of ours: nothing of the server's text, which quotes what it likes, goes to a caller. */
function refusalOf(serverText: string): string {
  if (/expired/i.test(serverText)) return 'has expired';
  if (/audience/i.test(serverText)) return 'is for another audience';
  if (/not yet valid|before issued|NotBefore/i.test(serverText)) return 'is not valid yet';
  return 'is not one that the API server accepts';
}

/** Why the API server gave no answer, with the right that is missing if that is it. */
export function whyUnavailable(thrown: unknown, right: string): string {
  if (!(thrown instanceof KubeApiError) || thrown.status === 0) return 'the API server does not answer';
  if (thrown.status === 403) return `Pilotlight's own ServiceAccount may not ${right}`;
  if (thrown.status === 401) return "the API server does not accept Pilotlight's own credentials";
  return `the API server answered ${thrown.status} ${thrown.reason}`.trim();
}

/** Fields for the log; the token does not pass even if the server quotes it. */
export function failureFields(thrown: unknown, token: string): Record<string, unknown> {
  const problem = asError(thrown).message.replaceAll(token, '[token]');
  return thrown instanceof KubeApiError ? { status: thrown.status, reason: thrown.reason, problem } : { problem };
}
