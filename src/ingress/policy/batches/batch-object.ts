import type { BatchEstimate, BatchProgress, BatchUsage, BatchView, DryRun } from '../../../core/batches.ts';
import { seconds, secondsOrNull } from '../seconds.ts';

/**
 * A batch as the OpenAI API shows it (https://platform.openai.com/docs/api-reference/batch/object), every field there also
 * when it is null, and Pilotlight's own under `pilotlight`.
 */
export function batchObject(batch: BatchView) {
  const { stamps, counts } = batch;
  return {
    id: batch.id,
    object: 'batch',
    endpoint: batch.endpoint,
    model: batch.model,
    errors: batch.errors && { object: 'list', data: batch.errors },
    input_file_id: batch.inputFileId,
    completion_window: batch.completionWindow,
    status: batch.status,
    output_file_id: batch.outputFileId,
    error_file_id: batch.errorFileId,
    created_at: seconds(batch.createdAtEpochMs),
    in_progress_at: secondsOrNull(stamps.inProgressAtEpochMs),
    expires_at: seconds(batch.expiresAtEpochMs),
    finalizing_at: secondsOrNull(stamps.finalizingAtEpochMs),
    completed_at: secondsOrNull(stamps.completedAtEpochMs),
    failed_at: secondsOrNull(stamps.failedAtEpochMs),
    expired_at: secondsOrNull(stamps.expiredAtEpochMs),
    cancelling_at: secondsOrNull(stamps.cancellingAtEpochMs),
    cancelled_at: secondsOrNull(stamps.cancelledAtEpochMs),
    request_counts: { total: counts.total, completed: counts.completed, failed: counts.failed },
    usage: batch.usage && usageObject(batch.usage),
    metadata: batch.metadata,
    pilotlight: progressObject(batch.progress),
  };
}

/** What a dry run found. */
export function dryRunObject(run: DryRun) {
  return {
    object: 'batch.validation',
    valid: run.kind === 'valid',
    errors: { object: 'list', data: run.errors },
    estimate: run.kind === 'valid' ? estimateObject(run.estimate) : null,
  };
}

function usageObject(usage: BatchUsage) {
  return {
    input_tokens: usage.inputTokens,
    input_tokens_details: { cached_tokens: usage.cachedTokens },
    output_tokens: usage.outputTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
    total_tokens: usage.inputTokens + usage.outputTokens,
  };
}

function progressObject(progress: BatchProgress) {
  return {
    phase: progress.phase,
    objective: progress.objective,
    rows_per_second: progress.rowsPerSecond === null ? null : Math.round(progress.rowsPerSecond * 100) / 100,
    eta_seconds: ceilSeconds(progress.etaMs),
    rows_running: progress.rowsRunning,
    holding_reason: progress.hold?.reason ?? null,
    holding_message: progress.hold?.message ?? null,
    step_percent: progress.stepPercent,
    retry_of: progress.retryOf,
    retried_by: progress.retriedBy,
    estimated_tokens: progress.estimatedTokens,
  };
}

function estimateObject(estimate: BatchEstimate) {
  return {
    rows: estimate.rows,
    input_tokens: estimate.inputTokens,
    max_output_tokens: estimate.maxOutputTokens,
    eta_seconds: ceilSeconds(estimate.etaMs),
    meets_deadline: estimate.meetsDeadline,
    models: estimate.models,
  };
}

function ceilSeconds(durationMs: number | null): number | null {
  return durationMs === null ? null : Math.ceil(durationMs / 1_000);
}
