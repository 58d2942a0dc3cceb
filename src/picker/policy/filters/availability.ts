import type { FilterPlugin } from '../plugin.ts';

/** Keeps endpoints that answer, are not draining, and can serve the call's adapter. Missing metrics exclude nothing. */
export const availabilityFilter: FilterPlugin = {
  kind: 'filter',
  type: 'availability-filter',
  reject(request, endpoint) {
    if (endpoint.draining) return 'draining';
    if (!endpoint.answering) return 'not answering';
    // An engine that reports room for no adapter at all cannot load one; without the metric it may.
    if (request.adapter !== null && endpoint.metrics?.maxAdapters === 0) return 'cannot load adapters';
    return null;
  },
};
