import type { EngineMetrics } from '../core/endpoint.ts';

/** A 32-bit hash of text as a signed integer, chained through its seed. xxHash32 in production. */
export type TextHash = (text: string, seed: number) => number;

/** One scrape of one endpoint. */
export interface EngineObservation {
  readonly endpointId: string;
  readonly metrics: EngineMetrics;
  /** When the scrape was sent: what it shows is at least as new. */
  readonly startedAtEpochMs: number;
  readonly startedAtMonotonicMs: number;
}

/** Fetches the text of a model server's /metrics. */
export interface MetricsSource {
  /** Rejects when there is no 200 within its timeout, or when the text is too large. */
  scrape(endpointUrl: string, signal: AbortSignal): Promise<string>;
}
