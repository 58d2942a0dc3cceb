import { readEngineMetrics } from './policy/engines.ts';
import type { MetricsSource } from './ports.ts';

/**
 * Requests running and waiting inside a model server, from a scrape made for this question alone. Null when it cannot be
 * reached, or when no known engine reports in what it answers. Bounded by the source's timeout.
 */
export async function activeRequests(source: MetricsSource, endpointUrl: string): Promise<number | null> {
  try {
    const metrics = readEngineMetrics(await source.scrape(endpointUrl, new AbortController().signal));
    return metrics === null ? null : metrics.runningRequests + metrics.waitingRequests;
  } catch {
    return null;
  }
}
