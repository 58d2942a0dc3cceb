import { KubeApiError } from '../../core/kubernetes.ts';
import { CliError, EXIT } from '../exit-codes.ts';

/** The answer of an API server; throws a CliError that says what to do when there is none or it refuses. */
export async function fromCluster<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (thrown) {
    if (!(thrown instanceof KubeApiError)) throw thrown;
    if (thrown.status === 0) {
      const message = `the API server does not answer (${thrown.message}); check --context and --kubeconfig`;
      throw new CliError(EXIT.UNREACHABLE, message, { cause: thrown });
    }
    throw new CliError(EXIT.FAILED, `${thrown.message}${remedyFor(thrown)}`, { cause: thrown });
  }
}

function remedyFor({ status }: KubeApiError): string {
  if (status === 401) return '; log in again, or choose another --context';
  if (status === 403) return '; ask for that right, or name another namespace with -n';
  return '';
}
