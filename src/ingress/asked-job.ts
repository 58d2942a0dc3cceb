import { API_PATHS } from '../core/call.ts';
import type { Clock } from '../core/clock.ts';
import { PilotlightError } from '../core/errors.ts';
import type { Identity } from '../core/identity.ts';
import type { JobSpec } from '../core/jobs.ts';
import type { CatalogSource } from '../core/objects.ts';
import { jobSpec } from './job-handler.ts';
import { callFields, detectPath } from './policy/call-fields.ts';
import { missing, wrongValue } from './policy/fields.ts';
import { parseJsonBody } from './policy/json-body.ts';
import { servedBody } from './policy/parse-call.ts';
import { objectiveWish, routeModel, routeObjective } from './policy/route-call.ts';

/** A job as somebody asks for it who is no HTTP request. */
export interface AskedJob {
  readonly id: string;
  /** As written; null = told by the body. */
  readonly path: string | null;
  /** The OpenAI body. */
  readonly bodyText: string;
  readonly objective: string | null;
  readonly deadlineEpochMs: number | null;
  /** Goes before the body's fields in errors, like "body.". */
  readonly at: string;
}

export interface AskedJobDeps {
  readonly catalog: CatalogSource;
  readonly clock: Clock;
  /** In [0, 1), for rewrites with several targets. */
  readonly chance: () => number;
}

/** The job, checked by the rules that POST /v1/jobs has, for this caller; or why it cannot be one. */
export function askedJob(
  { catalog: source, clock, chance }: AskedJobDeps,
  identity: Identity,
  asked: AskedJob,
): { readonly spec: JobSpec; readonly body: Uint8Array } | PilotlightError {
  const { id, bodyText, deadlineEpochMs, at } = asked;
  const parsed = parseJsonBody(Buffer.from(bodyText));
  if (parsed instanceof PilotlightError) return parsed;
  const path = asked.path === null ? detectPath(parsed.value) : API_PATHS.find((known) => known === asked.path);
  if (!path)
    return asked.path === null ? missing('path') : wrongValue('path', `must be one of ${API_PATHS.join(', ')}`);
  const fields = callFields(path, parsed.value, at);
  if (fields instanceof PilotlightError) return fields;
  if (fields.stream) return wrongValue(`${at}stream`, 'a message cannot be streamed; leave "stream" out');
  const caller = { catalog: source.current(), identity };
  const found = routeModel(caller, fields.model, `${at}model`);
  if (found instanceof PilotlightError) return found;
  const wish = objectiveWish(identity, { field: asked.objective, header: null, serviceTier: fields.serviceTier });
  const objective = routeObjective(caller, found.pool, wish);
  if (objective instanceof PilotlightError) return objective;
  const resolution = caller.catalog.rewrite(found, fields.model, chance());
  const { servedModel } = resolution;
  const body = servedBody(
    { path, text: bodyText, model: fields.model, servedModel, hasExtension: fields.hasExtension },
    Buffer.from(bodyText),
  );
  const route = { resolution, objective, fairnessId: identity.tenant, ttlMs: null };
  const spec = jobSpec({ clock }, { identity }, { id, path, fields, deadlineMs: null }, route, body);
  return { spec: deadlineEpochMs === null ? spec : { ...spec, deadlineEpochMs }, body };
}
