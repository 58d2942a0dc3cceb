import type { BatchRequest } from '../../core/batches.ts';
import type { Clock } from '../../core/clock.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { StoredFile } from '../../core/files.ts';
import { refuseFile, refuseRequest } from '../policy/lifecycle/create-rules.ts';
import { created } from '../policy/lifecycle/generations.ts';
import type { BatchDoc, BatchJournal, FileCabinet } from '../ports.ts';
import type { BatchMeter } from './batch-meter.ts';
import type { Creations } from './creations.ts';
import type { BatchIds, BatchIndex, BatchWorld, CreationClaims, LifecycleSettings } from './ports.ts';

export interface CreateDeps {
  readonly journal: BatchJournal;
  readonly index: BatchIndex;
  readonly claims: CreationClaims;
  readonly cabinet: FileCabinet;
  readonly ids: BatchIds;
  readonly world: BatchWorld;
  readonly settings: LifecycleSettings;
  readonly clock: Clock;
  readonly meter: BatchMeter;
}

/** A request whose parts were all looked at. */
export interface CheckedRequest {
  readonly request: BatchRequest;
  readonly file: StoredFile;
  /** Of rows that name none; null = the tenant's or the pool's default. */
  readonly objective: string | null;
}

/** The new batch, or the one that an earlier call of the same meaning has made. Throws what is wrong with the request. */
export async function createBatch(deps: CreateDeps, creations: Creations, request: BatchRequest): Promise<BatchDoc> {
  const checked = await checkedOrKnown(deps, request);
  if (!('file' in checked)) return checked;
  const id = await claimedId(deps, request);
  const known = await deps.journal.read(id);
  if (known) return known;
  const { tenant } = request.identity;
  return creations.during(tenant, id, async (ahead) => {
    await refuseBeyondQuota(deps, tenant, ahead);
    return writeBatch(deps, newDoc(deps, id, checked));
  });
}

/** Everything that is known before its rows are read. Throws what is wrong. */
export async function checkRequest(
  { cabinet, world, settings, clock }: Pick<CreateDeps, 'cabinet' | 'world' | 'settings' | 'clock'>,
  request: BatchRequest,
): Promise<CheckedRequest> {
  const { identity, inputFileId, wishes } = request;
  throwRefusal(refuseRequest(request, settings, clock.epochMs()));
  if (wishes.objective !== null) throwRefusal(world.refuseObjective(identity, wishes.objective, null));
  const file = await cabinet.get(inputFileId, identity.tenant).catch(namingTheFile);
  throwRefusal(refuseFile(file, settings));
  const { objective: byDefault } = settings;
  // A default that this tenant may not use is not its default.
  const usable = byDefault !== null && world.refuseObjective(identity, byDefault, null) === null ? byDefault : null;
  return { request, file, objective: wishes.objective ?? usable };
}

/** Makes it durable. Its file stays as long as it is not finished. */
export async function writeBatch(
  { cabinet, journal, meter }: Pick<CreateDeps, 'cabinet' | 'journal' | 'meter'>,
  doc: BatchDoc,
): Promise<BatchDoc> {
  const { id, inputFile } = doc;
  await cabinet.hold(inputFile.id, id).catch(namingTheFile);
  // When this fails nobody knows whether it exists: the hold lapses by itself if it does not.
  const answer = await journal.create(doc);
  if (answer.kind === 'conflict') return answer.current;
  meter.created();
  return doc;
}

/** `ahead` are being made, and may be in the index already. */
export async function refuseBeyondQuota(
  { index, settings }: Pick<CreateDeps, 'index' | 'settings'>,
  tenant: string,
  ahead: readonly string[],
): Promise<void> {
  const open = await index.open(tenant);
  const unfinished = new Set([...ahead, ...open.map(({ id }) => id)]).size;
  if (unfinished >= settings.tenantBatches) {
    const message = `Tenant '${tenant}' has ${unfinished} unfinished batches; ${settings.tenantBatches} are allowed. Wait until one has ended, or cancel one.`;
    throw new PilotlightError('batches_full', message, { retryAfterMs: 60_000 });
  }
  const rows = open.reduce((sum, batch) => sum + batch.rows, 0);
  if (rows >= settings.tenantRows) {
    const message = `Tenant '${tenant}' has ${rows} rows in unfinished batches; ${settings.tenantRows} are allowed. Wait until some have ended, or cancel a batch.`;
    throw new PilotlightError('batch_rows_full', message, { retryAfterMs: 60_000 });
  }
}

/** Repeating a call whose file is gone meanwhile still finds the batch that it made. */
async function checkedOrKnown(deps: CreateDeps, request: BatchRequest): Promise<CheckedRequest | BatchDoc> {
  try {
    return await checkRequest(deps, request);
  } catch (error) {
    const { key, bodyHash } = request.repetition;
    const claim = key === null ? null : await deps.claims.find(request.identity.tenant, key, bodyHash);
    const known = claim?.kind === 'id' ? await deps.journal.read(claim.id) : null;
    if (known) return known;
    throw error;
  }
}

async function claimedId({ claims, ids }: CreateDeps, { identity, repetition }: BatchRequest): Promise<string> {
  const { key, bodyHash, sdkRetry } = repetition;
  if (key === null) return claims.byBody(identity.tenant, bodyHash, sdkRetry > 0, ids.next());
  const claim = await claims.byKey(identity.tenant, key, bodyHash, ids.next());
  if (claim.kind === 'id') return claim.id;
  const message =
    'This Idempotency-Key was used with another body in the last 24 hours. Send the same body again, or use a new key.';
  throw new PilotlightError('idempotency_conflict', message, { param: 'Idempotency-Key' });
}

function newDoc({ clock, claims }: CreateDeps, id: string, { request, file, objective }: CheckedRequest): BatchDoc {
  const { key, bodyHash } = request.repetition;
  const batch = {
    id,
    identity: request.identity,
    inputFile: file,
    onlyRowsKey: null,
    endpoint: request.endpoint,
    completionWindow: request.completionWindow,
    metadata: request.metadata,
    outputExpiresAfterMs: request.outputExpiresAfterMs,
    wishes: { ...request.wishes, objective },
    retryOf: null,
    repetition: { keyHash: key === null ? null : claims.keyHash(key), bodyHash },
  };
  return created(batch, clock.epochMs());
}

/** The field of this call, where the error has the one of calls about files, or none. */
function namingTheFile(error: unknown): never {
  if (error instanceof PilotlightError && (error.param === null || error.param === 'id') && !error.retryable) {
    throw new PilotlightError(error.code, error.message, { param: 'input_file_id', cause: error });
  }
  throw error;
}

function throwRefusal(refusal: PilotlightError | null): void {
  if (refusal !== null) throw refusal;
}
