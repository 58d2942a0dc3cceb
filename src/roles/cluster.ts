import type { OpenedProcess } from './gateway.ts';
import type { ProcessBase } from './process-options.ts';

export function openInCluster(_base: ProcessBase, _signal: AbortSignal): Promise<OpenedProcess> {
  throw new Error('not yet');
}
