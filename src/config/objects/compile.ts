import type { Catalog } from '../../core/objects.ts';
import type { Config } from '../config.ts';
import { hasErrors, type Problem } from '../problem.ts';
import type { YamlDocument } from '../yaml-documents.ts';
import { createCatalog } from './catalog.ts';
import { compileObjectives } from './compile-objectives.ts';
import { compilePools } from './compile-pools.ts';
import { compileRewrites } from './compile-rewrites.ts';
import { withoutDuplicates } from './duplicates.ts';
import type { FileProbe } from './file-probe.ts';
import { type ObjectSet, parseObjects } from './parse-objects.ts';
import { createReporter, type Reporter } from './report.ts';
import type { Surroundings } from './surroundings.ts';

/** What the configuration says about objects. */
export type ObjectSettings = Pick<Config, 'installation' | 'namespace' | 'limits'> & {
  readonly kubernetes: Pick<Config['kubernetes'], 'enabled'>;
};

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
  /** Everything that the catalog says: equal for two catalogs that mean the same. */
  readonly content: unknown;
}

/** Checks all objects, alone and against each other, and makes one catalog of them. Every problem is listed. */
export function compileObjects(inputs: CompileInputs): Compiled {
  const { documents, settings, probe, modifiedEpochMs } = inputs;
  const parsed = parseObjects(documents, settings.namespace);
  const { installation } = settings;
  const { enabled: kubernetes } = settings.kubernetes;
  const surroundings = { installation, kubernetes, served: false, missing: new Map(), probe };
  const report = createReporter();
  const objects = withoutDuplicates(parsed.objects, report);
  const compiled = compileSet({ objects, settings, surroundings, previous: inputs.previous, modifiedEpochMs }, report);
  const problems = [...parsed.problems, ...report.problems];
  const catalog = hasErrors(problems) ? null : compiled.catalog;
  return { catalog, problems, objectCount: documents.length, content: compiled.content };
}

export interface SetInputs extends Pick<CompileInputs, 'previous' | 'modifiedEpochMs'> {
  /** One object a name. */
  readonly objects: ObjectSet;
  readonly settings: Pick<ObjectSettings, 'limits'>;
  readonly surroundings: Surroundings;
}

/** One catalog of objects that fit their schemas. What is wrong between them is reported; objects at fault are in it in part. */
export function compileSet(inputs: SetInputs, report: Reporter): { catalog: Catalog; content: unknown } {
  const { objects, surroundings, previous, modifiedEpochMs } = inputs;
  const { limits } = inputs.settings;
  const poolLimits = { maxRequests: limits.poolRequests, maxBytes: limits.poolBytes };
  const pools = compilePools({ objects, limits: poolLimits, ...surroundings }, report);
  const objectives = compileObjectives(objects, pools, { limits, surroundings }, report);
  const rewrites = compileRewrites(objects, pools, report);
  const policies = new Map(objects.scalePolicies.map((policy) => [policy.key, policy]));
  const known = new Map(previous?.models().map((model) => [model.name, model.createdAtEpochMs]));
  const catalog = createCatalog({
    generation: (previous?.generation ?? 0) + 1,
    pools,
    objectives,
    rewrites,
    limits,
    createdAtEpochMs(pool, model) {
      const policy = policies.get(`${pool.namespace}/${pool.policyName ?? ''}`);
      return known.get(model) ?? policy?.createdAtEpochMs ?? modifiedEpochMs(policy?.document.file ?? '');
    },
  });
  return { catalog, content: [[...pools], objectives, rewrites, catalog.models()] };
}
