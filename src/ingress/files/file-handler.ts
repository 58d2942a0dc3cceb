import { PilotlightError } from '../../core/errors.ts';
import type { FileSpool } from '../../core/files.ts';
import type { BatchApiDeps } from '../batch-api.ts';
import { type Exchange, sendJson } from '../exchange.ts';
import { missing } from '../policy/fields.ts';
import { formExpiresAfterMs } from '../policy/files/expires-after.ts';
import { fileObject, listObject } from '../policy/files/file-object.ts';
import { afterOf, integerIn, wordIn } from '../policy/query.ts';
import type { FormReader } from '../ports.ts';

/** As OpenAI has it. */
const MAX_LIST = 10_000;

/** POST /v1/files. The bytes are taken in before it is known what they are for: some clients send the purpose after them. */
export async function createFile({ api }: BatchApiDeps, exchange: Exchange, form: FormReader): Promise<void> {
  const { tenant } = exchange.identity;
  const taker = {
    take: (source: AsyncIterable<Uint8Array>, signal: AbortSignal) => api.files.receive(tenant, source, signal),
    drop: (spool: FileSpool) => spool.discard(),
  };
  const { fields, filename, file } = await form.read('file', api.settings.fileBytes, taker, exchange.signal);
  try {
    const purpose = fields.get('purpose');
    if (purpose === undefined) throw missing('purpose');
    const expiresAfterMs = formExpiresAfterMs(fields);
    if (filename === null) {
      const message = "Invalid 'file': the part has no filename; send it as a file.";
      throw new PilotlightError('invalid_value', message, { param: 'file' });
    }
    sendJson(exchange, 200, fileObject(await file.commit({ tenant, filename, purpose, expiresAfterMs })));
  } catch (thrown) {
    await file.discard();
    throw thrown;
  }
}

/** GET /v1/files */
export async function listFiles({ api }: BatchApiDeps, exchange: Exchange, query: URLSearchParams): Promise<void> {
  const page = await api.files.list(exchange.identity.tenant, {
    limit: integerIn(query, 'limit', { min: 1, max: MAX_LIST }) ?? MAX_LIST,
    order: wordIn(query, 'order', ['asc', 'desc']) ?? 'desc',
    after: afterOf(query),
    purpose: query.get('purpose')?.slice(0, 64) ?? null,
  });
  sendJson(exchange, 200, listObject(page, fileObject));
}

/** GET /v1/files/{id} */
export async function showFile({ api }: BatchApiDeps, exchange: Exchange, id: string): Promise<void> {
  sendJson(exchange, 200, fileObject(await api.files.get(id, exchange.identity.tenant)));
}

/** DELETE /v1/files/{id} */
export async function deleteFile({ api }: BatchApiDeps, exchange: Exchange, id: string): Promise<void> {
  await api.files.delete(id, exchange.identity.tenant);
  sendJson(exchange, 200, { id, object: 'file', deleted: true });
}
