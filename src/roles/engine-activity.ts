import type { EngineActivity } from '../autoscaler/ports.ts';
import { activeRequests } from '../picker/active-requests.ts';
import { HttpMetricsSource } from '../picker/adapters/http-metrics-source.ts';
import type { Closers } from './closers.ts';

/** Asks the model servers themselves. An endpoint's id ends in its address: "<podUid>@<ip:port>". */
export function engineActivity(closers: Closers): EngineActivity {
  const scraper = new HttpMetricsSource();
  closers.add('scraper for proofs of idleness', () => scraper.close());
  return {
    activeRequests: (endpointId) => activeRequests(scraper, `http://${endpointId.slice(endpointId.indexOf('@') + 1)}`),
  };
}
