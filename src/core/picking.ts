import type { InferenceCall } from './call.ts';

/** Orders the endpoints of one pool for a call; the dispatcher asks, the picker answers from what it knows now. */
export interface EndpointRanker {
  /** Endpoint ids, best first. Those that must not be used (adapter not loadable, not answering) are absent. */
  rank(call: InferenceCall): readonly string[];
  /** The call was sent there: in-flight load and prefix locality count it from now on. */
  started(call: InferenceCall, endpointId: string): void;
  finished(call: InferenceCall, endpointId: string, result: 'ok' | 'failed'): void;
}
