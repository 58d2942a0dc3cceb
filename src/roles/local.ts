import type { FileCatalogSource } from '../config/objects/file-catalog-source.ts';
import { formatProblem, formatProblems } from '../config/problem.ts';
import { createRegistry } from '../platform/metrics.ts';
import { type OpenedProcess, openGateway } from './gateway.ts';
import { openLocalScaling } from './local-scaling.ts';
import type { ProcessBase, ProcessOptions } from './process-options.ts';

/** Every role in one process: objects from files, replicas as local processes. */
export async function openLocal(base: ProcessBase, files: FileCatalogSource): Promise<OpenedProcess> {
  const { config, log, closers, version } = base;
  const options: ProcessOptions = {
    ...base,
    catalogSource: files,
    objectProblems: () => files.problems().map(formatProblem),
  };
  const registry = createRegistry({ version, role: config.role });
  const gateway = await openGateway(options, registry, (pools) =>
    openLocalScaling(options, registry, (pool) => pools().require(pool).order),
  );
  files.watch((reload) => {
    const problems = formatProblems(reload.problems);
    if (reload.kind === 'refused') log.error({ problems }, 'objects.refused');
    else log.info({ change: reload.kind, problems }, 'objects.reloaded');
  });
  closers.add('object files', () => files.close());
  return gateway;
}
