import { errorOf, explainRefusal } from '../client.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import type { PatientClient } from '../patience.ts';
import type { Body } from './bodies.ts';

export interface JobWishes {
  readonly objective: string | null;
  /** From acceptance, "8h"; null = the objective's default. */
  readonly deadline: string | null;
}

export type Accepted = { readonly id: string } | { readonly refusal: string };

/** Refusals that every other line would meet too. */
const HOPELESS = new Set(['invalid_api_key', 'unknown_objective', 'objective_forbidden', 'route_not_found']);

/**
 * Posts one body as a job. A full queue and a server that is away are waited for until `pauseSignal` aborts; a call that
 * is on its way is only given up with `signal`. Throws a CliError for what no line can get past.
 */
export async function submitBody(
  client: PatientClient,
  { value }: Body,
  wishes: JobWishes,
  signals: { readonly signal: AbortSignal; readonly pauseSignal?: AbortSignal },
): Promise<Accepted> {
  const body = JSON.stringify(jobOf(value, wishes));
  const answer = await client.send({ method: 'POST', path: '/v1/jobs', body, ...signals });
  if (answer.status < 300) return { id: (JSON.parse(answer.text) as { id: string }).id };
  const refusal = explainRefusal(answer);
  if (HOPELESS.has(errorOf(answer)?.code ?? '')) throw new CliError(EXIT.FAILED, refusal);
  return { refusal };
}

/** What a line says for itself wins over the flags. */
function jobOf(value: Body['value'], { objective, deadline }: JobWishes): unknown {
  const isWrapped = typeof value['body'] === 'object' && value['body'] !== null;
  return {
    ...(objective === null ? {} : { objective }),
    ...(deadline === null ? {} : { deadline }),
    ...(isWrapped ? value : { body: value }),
  };
}
