import { parentPort, type Transferable, workerData } from 'node:worker_threads';
import { VALIDATION_THREAD } from '../batch/adapters/validation/validation-thread.ts';
import type { BodyFacts } from '../batch/policy/validation/row-check.ts';
import type { JsonObject, RowProblem } from '../batch/policy/validation/row-problem.ts';
import { type ToThread } from '../batch/validation/ports.ts';
import { serveValidation } from '../batch/validation/serve-validation.ts';
import { API_PATHS } from '../core/call.ts';
import { PilotlightError } from '../core/errors.ts';
import { callFields } from '../ingress/policy/call-fields.ts';

/** What a thread that validates batch files is started with: this file. */
export const BATCH_WORKER_ENTRY = new URL(import.meta.url);

/** The check of a live call's body, as a row of a batch has it. */
export function checkRowBody(endpoint: string, body: JsonObject): BodyFacts | RowProblem {
  const path = API_PATHS.find((known) => known === endpoint);
  if (path === undefined) {
    return { code: 'invalid_value', message: `The endpoint '${endpoint}' cannot be batched.`, param: 'endpoint' };
  }
  const fields = callFields(path, body, 'body.');
  if (!(fields instanceof PilotlightError)) return fields;
  return { code: fields.code, message: fields.message, param: fields.param };
}

if (parentPort && isValidationThread(workerData)) {
  const port = parentPort;
  await serveValidation(
    {
      post: (message, transfer) => port.postMessage(message, transfer as Transferable[]),
      onMessage: (listener) => port.on('message', (message: ToThread) => listener(message)),
    },
    checkRowBody,
  );
  port.close();
}

function isValidationThread(data: unknown): boolean {
  return typeof data === 'object' && data !== null && 'kind' in data && data.kind === VALIDATION_THREAD;
}
