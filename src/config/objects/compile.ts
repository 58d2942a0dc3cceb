import type { Catalog } from '../../core/objects.ts';
import type { Config } from '../config.ts';
import { hasErrors, type Problem } from '../problem.ts';
import type { YamlDocument } from '../yaml-documents.ts';
import { createCatalog } from './catalog.ts';
import { compileObjectives } from './compile-objectives.ts';
import { compilePools } from './compile-pools.ts';
import { withoutDuplicates } from './duplicates.ts';
import type { FileProbe } from './file-probe.ts';
import { type ObjectSet, parseObjects } from './parse-objects.ts';
import { createReporter } from './report.ts';

/** What the configuration says about objects. */
export type ObjectSettings = Pick<Config, 'installation' | 'namespace' | 'limits'>;

export interface CompileInputs {
  readonly documents: readonly YamlDocument[];
  readonly settings: ObjectSettings;
  readonly probe: FileProbe;
  /** The catalog that this one is to replace; models that were in it keep their creation time. */
  readonly previous: Catalog | null;
  /** Creation time of a model whose object tells none. */
  readonly modifiedEpochMs: (file: string) => number;
}

export interface Compiled {
  /** Null when any problem is an error. */
  readonly catalog: Catalog | null;
  readonly problems: readonly Problem[];
  readonly objectCount: number;
}

/** Checks all objects, alone and against each other, and makes one catalog of them. Every problem is listed. */
export function compileObjects(inputs: CompileInputs): Compiled {
  const { documents, settings, previous } = inputs;
  const parsed = parseObjects(documents, settings.namespace);
  const report = createReporter();
  const objects = withoutDuplicates(parsed.objects, report);
  const { limits, installation } = settings;
  const poolLimits = { maxRequests: limits.poolRequests, maxBytes: limits.poolBytes };
  const pools = compilePools({ objects, installation, limits: poolLimits, probe: inputs.probe }, report);
  const objectives = compileObjectives(objects, pools, limits, report);
  const problems = [...parsed.problems, ...report.problems];
  const known = new Map(previous?.models().map((model) => [model.name, model.createdAtEpochMs]));
  const catalog = createCatalog({
    generation: (previous?.generation ?? 0) + 1,
    pools,
    objectives,
    limits,
    createdAtEpochMs: (pool, model) => known.get(model) ?? createdAt(objects, pool.namespace, pool.policyName, inputs),
  });
  return { catalog: hasErrors(problems) ? null : catalog, problems, objectCount: documents.length };
}

function createdAt(
  objects: ObjectSet,
  namespace: string,
  policyName: string | null,
  { modifiedEpochMs }: CompileInputs,
): number {
  const policy = objects.scalePolicies.find((one) => one.namespace === namespace && one.name === policyName);
  return policy?.createdAtEpochMs ?? modifiedEpochMs(policy?.document.file ?? '');
}
