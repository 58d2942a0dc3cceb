import { type KubeApi, KubeApiError, type KubeRequest } from '../../../../src/core/kubernetes.ts';

interface ReviewBody {
  readonly spec: { readonly token: string; readonly audiences?: readonly string[] };
}

export interface KnownToken {
  readonly username: string;
  readonly audiences: readonly string[];
  readonly isExpired?: boolean;
}

/** TokenReview and SubjectAccessReview as the API server answers them, from tables. tests/cluster asks a real one. */
export class ReviewApi implements KubeApi {
  readonly tokens = new Map<string, KnownToken>();
  /** "username verb namespace/name" */
  readonly rights = new Set<string>();
  readonly requests: KubeRequest[] = [];
  /** Thrown instead of an answer. */
  failure: KubeApiError | null = null;

  request(request: KubeRequest): Promise<unknown> {
    this.requests.push(request);
    if (this.failure) return Promise.reject(this.failure);
    if (request.path.endsWith('/tokenreviews')) return Promise.resolve({ status: this.#review(request.body) });
    return Promise.resolve({ status: { allowed: this.#isAllowed(request.body) } });
  }

  /** As when nothing listens there; the text quotes the token, as a careless proxy would. */
  goDown(quoting = ''): void {
    this.failure = new KubeApiError(`connect ECONNREFUSED ${quoting}`, { status: 0 });
  }

  #review(body: unknown): object {
    const { token, audiences = ['https://kubernetes.default.svc'] } = (body as ReviewBody).spec;
    const known = this.tokens.get(token);
    if (!known) return { authenticated: false, error: `invalid bearer token "${token}"` };
    if (known.isExpired) return { error: '[invalid bearer token, service account token has expired]' };
    const shared = audiences.filter((one) => known.audiences.includes(one));
    if (shared.length === 0) return { error: `token audiences ${JSON.stringify(known.audiences)} is invalid` };
    return { authenticated: true, user: { username: known.username, uid: 'u1', groups: ['g'] }, audiences: shared };
  }

  #isAllowed(body: unknown): boolean {
    const { user, resourceAttributes, nonResourceAttributes } = (
      body as {
        spec: {
          user: string;
          resourceAttributes?: { verb: string; namespace: string; name?: string };
          nonResourceAttributes?: { verb: string; path: string };
        };
      }
    ).spec;
    if (nonResourceAttributes)
      return this.rights.has(`${user} ${nonResourceAttributes.verb} ${nonResourceAttributes.path}`);
    const { verb, namespace, name = '*' } = resourceAttributes!;
    return this.rights.has(`${user} ${verb} ${namespace}/${name}`);
  }
}
