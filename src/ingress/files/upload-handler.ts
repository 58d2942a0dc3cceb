import { PilotlightError } from '../../core/errors.ts';
import type { UploadPart } from '../../core/files.ts';
import type { BatchApiDeps } from '../batch-api.ts';
import { type Exchange, sendJson } from '../exchange.ts';
import { partObject, uploadObject } from '../policy/files/file-object.ts';
import { parseCompletion, parseUpload } from '../policy/files/upload-request.ts';
import { parseJsonBody } from '../policy/json-body.ts';
import type { FormReader } from '../ports.ts';

/** POST /v1/uploads */
export async function createUpload({ api }: BatchApiDeps, exchange: Exchange, body: Uint8Array): Promise<void> {
  const upload = await api.uploads.create({ ...parseUpload(jsonOf(body)), tenant: exchange.identity.tenant });
  sendJson(exchange, 200, uploadObject(upload));
}

/** POST /v1/uploads/{id}/parts. A part whose sender did not hear the answer is sent again, and the first one never listed. */
export async function addUploadPart(
  { api }: BatchApiDeps,
  exchange: Exchange,
  id: string,
  form: FormReader,
): Promise<void> {
  const { uploads, settings } = api;
  const taker = {
    take: (source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<UploadPart> =>
      uploads.addPart(id, exchange.identity.tenant, source, signal),
    // Nobody was told its id.
    drop: () => Promise.resolve(),
  };
  const { file } = await form.read('data', settings.uploadPartBytes, taker, exchange.signal);
  sendJson(exchange, 200, partObject(file));
}

/** POST /v1/uploads/{id}/complete */
export async function completeUpload(
  { api }: BatchApiDeps,
  exchange: Exchange,
  id: string,
  body: Uint8Array,
): Promise<void> {
  const { partIds, md5 } = parseCompletion(jsonOf(body));
  sendJson(exchange, 200, uploadObject(await api.uploads.complete(id, exchange.identity.tenant, partIds, md5)));
}

/** POST /v1/uploads/{id}/cancel */
export async function cancelUpload({ api }: BatchApiDeps, exchange: Exchange, id: string): Promise<void> {
  sendJson(exchange, 200, uploadObject(await api.uploads.cancel(id, exchange.identity.tenant)));
}

/** GET /v1/uploads/{id} */
export async function showUpload({ api }: BatchApiDeps, exchange: Exchange, id: string): Promise<void> {
  sendJson(exchange, 200, uploadObject(await api.uploads.get(id, exchange.identity.tenant)));
}

function jsonOf(body: Uint8Array) {
  const parsed = parseJsonBody(body);
  if (parsed instanceof PilotlightError) throw parsed;
  return parsed.value;
}
