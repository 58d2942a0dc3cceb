import {
  type BatchHold,
  type BatchProgress,
  type BatchUsage,
  type BatchView,
  type RowCounts,
} from '../../../core/batches.ts';
import type { BatchDoc, RowTotals } from '../batch-doc.ts';
import type { Pace } from './pace.ts';

/** What its keeper tells of a batch while it works on it. */
export interface KeeperNews extends Pace {
  /** Share of validating or finalising that is done, 0..100; null = neither is going on. */
  readonly stepPercent: number | null;
}

/** What is known of an unfinished batch beside its document. */
export interface LiveFacts {
  /** Null = not known now. */
  readonly totals: RowTotals | null;
  /** Null = no keeper has told anything for a while. */
  readonly news: KeeperNews | null;
  readonly rowsRunning: number;
  readonly hold: BatchHold | null;
}

export const NOTHING_LIVE: LiveFacts = { totals: null, news: null, rowsRunning: 0, hold: null };

/** The batch as callers see it. */
export function viewOf(doc: BatchDoc, live: LiveFacts): BatchView {
  return {
    id: doc.id,
    tenant: doc.identity.tenant,
    endpoint: doc.endpoint,
    inputFileId: doc.inputFile.id,
    completionWindow: doc.completionWindow,
    status: doc.status,
    model: onlyModel(doc),
    errors: doc.errors,
    outputFileId: doc.final?.outputFileId ?? null,
    errorFileId: doc.final?.errorFileId ?? null,
    createdAtEpochMs: doc.createdAtEpochMs,
    expiresAtEpochMs: doc.expiresAtEpochMs,
    stamps: doc.stamps,
    counts: countsOf(doc, live.totals),
    usage: usageOf(doc, live.totals),
    metadata: doc.metadata,
    progress: progressOf(doc, live),
  };
}

/** Everything that ended without being completed counts as failed, so that the two add up to total in the end. */
export function countsOf(doc: BatchDoc, totals: RowTotals | null): RowCounts {
  if (doc.final !== null) return doc.final.counts;
  if (doc.plan === null) return { total: 0, completed: 0, failed: 0 };
  const invalid = doc.plan.total - doc.plan.runnable;
  if (totals === null) return { total: doc.plan.total, completed: 0, failed: invalid };
  const failed = totals.failed + totals.expired + totals.cancelled + invalid;
  return { total: doc.plan.total, completed: totals.completed, failed };
}

function usageOf(doc: BatchDoc, totals: RowTotals | null): BatchUsage | null {
  if (doc.final !== null) return doc.final.usage;
  return doc.plan === null ? null : (totals?.usage ?? null);
}

function progressOf(doc: BatchDoc, { totals, news, rowsRunning, hold }: LiveFacts): BatchProgress {
  const phase = phaseOf(doc, totals);
  const isRunning = phase === 'running';
  return {
    phase,
    objective: objectiveOf(doc),
    rowsPerSecond: isRunning ? (news?.rowsPerSecond ?? null) : null,
    etaMs: isRunning ? (news?.etaMs ?? null) : null,
    rowsRunning: doc.final === null ? rowsRunning : 0,
    hold: doc.final === null ? hold : null,
    stepPercent: phase === 'validating' || phase === 'finalizing' ? (news?.stepPercent ?? null) : null,
    retryOf: doc.retryOf,
    retriedBy: doc.retriedBy,
    estimatedTokens:
      doc.plan && doc.plan.groups.reduce((sum, group) => sum + group.inputTokens + group.maxOutputTokens, 0),
  };
}

function phaseOf(doc: BatchDoc, totals: RowTotals | null): BatchProgress['phase'] {
  if (doc.final !== null) return 'finished';
  if (doc.plan === null && doc.ending === null) return 'validating';
  if (doc.ending !== null || doc.status === 'finalizing' || totals?.pending === 0) return 'finalizing';
  return doc.pause === null ? 'running' : 'paused';
}

function onlyModel({ plan }: BatchDoc): string | null {
  const models = new Set(plan?.groups.map((group) => group.model));
  const [model = null] = models;
  return models.size === 1 ? model : null;
}

function objectiveOf({ plan, wishes }: BatchDoc): string | null {
  const objectives = new Set(plan?.groups.map((group) => group.objective));
  const [objective = null] = objectives;
  return objectives.size === 1 ? objective : wishes.objective;
}
