import type { KubeApi } from '../../core/kubernetes.ts';

/** Rights that this process needs. */
export interface AccessRule {
  /** '' = the core group. */
  readonly group: string;
  /** "pods", or with a subresource "deployments/scale". */
  readonly resource: string;
  readonly verbs: readonly string[];
  /** Null = cluster-wide, as for tokenreviews. */
  readonly namespace: string | null;
  /** One object; absent = all. */
  readonly name?: string;
}

export interface MissingVerb {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly namespace: string | null;
  readonly name: string | null;
  /** For people: "cannot patch deployments.apps/scale "llama" in namespace chat". */
  readonly message: string;
}

/** Asks run side by side; the API server answers each from memory. */
const PARALLEL = 8;

/**
 * The verbs of these rules that the API server would refuse to this process, in the order of the rules. One
 * SelfSubjectAccessReview a verb, which every identity may ask for. Throws a KubeApiError when it cannot be asked.
 */
export async function checkAccess(
  api: KubeApi,
  rules: readonly AccessRule[],
  signal?: AbortSignal,
): Promise<MissingVerb[]> {
  const questions = rules.flatMap((rule) => rule.verbs.map((verb) => ({ rule, verb })));
  const answers: (MissingVerb | null)[] = questions.map(() => null);
  let next = 0;
  const ask = async () => {
    while (next < questions.length) {
      const index = next;
      next += 1;
      const question = questions[index];
      if (question) answers[index] = await missing(api, question.rule, question.verb, signal);
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, questions.length) }, ask));
  return answers.filter((answer) => answer !== null);
}

async function missing(
  api: KubeApi,
  { group, resource, namespace, name }: AccessRule,
  verb: string,
  signal: AbortSignal | undefined,
): Promise<MissingVerb | null> {
  const [plural = resource, subresource] = resource.split('/');
  const resourceAttributes = {
    verb,
    group,
    resource: plural,
    ...(subresource === undefined ? {} : { subresource }),
    ...(namespace === null ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
  };
  const answer = (await api.request({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } },
    ...(signal ? { signal } : {}),
  })) as { status?: { allowed?: boolean } };
  if (answer.status?.allowed === true) return null;
  const what = `${plural}${group === '' ? '' : `.${group}`}${subresource === undefined ? '' : `/${subresource}`}`;
  const which = name === undefined ? '' : ` "${name}"`;
  const where = namespace === null ? 'in the cluster' : `in namespace ${namespace}`;
  return { verb, group, resource, namespace, name: name ?? null, message: `cannot ${verb} ${what}${which} ${where}` };
}
