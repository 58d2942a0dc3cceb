import type { Catalog, PoolKey } from '../../core/objects.ts';
import type { Problem } from '../problem.ts';
import { compileSet, type ObjectSettings } from './compile.ts';
import type { AnyObject, ObjectKind } from './parse-objects.ts';
import { objectSet } from './parse-objects.ts';
import { createReporter } from './report.ts';
import { SERVED_SOURCE, type ServedObject } from './served-object.ts';

export interface ServedInputs {
  /** Every object of every kind, in a stable order. */
  readonly objects: readonly ServedObject[];
  /** By title: the versions that the previous catalog was made of. */
  readonly inForce: ReadonlyMap<string, AnyObject>;
  readonly settings: ObjectSettings;
  /** Kinds that cannot be read, and why. */
  readonly missing: ReadonlyMap<ObjectKind, string>;
  readonly previous: Catalog;
}

export interface ServedResult {
  readonly catalog: Catalog;
  readonly content: unknown;
  readonly inForce: ReadonlyMap<string, AnyObject>;
  /** By title: what is wrong with the newest version of each object. Nothing is listed for those without a fault. */
  readonly problems: ReadonlyMap<string, readonly Problem[]>;
}

/** Kinds after those that they refer to: a fault of one must not be blamed on what refers to it. */
const LAYERS: readonly (readonly ObjectKind[])[] = [
  ['InferencePool'],
  ['ScalePolicy'],
  ['InferenceObjective'],
  ['ObjectivePolicy', 'InferenceModelRewrite'],
];

/**
 * One catalog of all objects that hold. An object at fault never refuses another one: its last version that was in force
 * stays so, and one that never was has no effect. Ends because with each round an object is replaced or left out.
 */
export function compileServed(inputs: ServedInputs): ServedResult {
  const { objects, inForce } = inputs;
  const problems = new Map<string, Problem[]>();
  const chosen = new Map<string, AnyObject>();
  const newest = new Map(objects.map((object) => [object.title, object.newest]));
  const { installation } = inputs.settings;
  for (const object of objects) {
    // Another installation's: only its name counts.
    if (object.className !== null && object.className !== installation) continue;
    const version = object.newest ?? inForce.get(object.title);
    if (version) chosen.set(object.title, version);
    if (object.problems.length > 0) problems.set(object.title, [...object.problems]);
  }
  const lostPools = addLostPools(chosen, inputs);
  for (;;) {
    const { report, catalog, content } = compileChosen(chosen, inputs);
    const refused = refusedTitles(report.problems);
    if (refused.size === 0) {
      for (const problem of report.problems) add(problems, problem.object, problem);
      keepOrForget(lostPools, chosen, problems);
      return { catalog, content, inForce: chosen, problems };
    }
    for (const title of refused) {
      const version = chosen.get(title);
      // What is wrong with an older version was told when it was the newest.
      if (version === newest.get(title)) {
        for (const problem of report.problems) if (problem.object === title) add(problems, title, problem);
      }
      const older = inForce.get(title);
      if (older && older !== version) chosen.set(title, older);
      else chosen.delete(title);
    }
  }
}

function compileChosen(chosen: ReadonlyMap<string, AnyObject>, inputs: ServedInputs) {
  const { settings, missing, previous } = inputs;
  const broken = new Set(inputs.objects.map(({ title }) => title).filter((title) => !chosen.has(title)));
  const report = createReporter();
  const surroundings = {
    installation: settings.installation,
    kubernetes: true,
    served: true,
    missing,
    probe: { isCommand: () => false, isFolder: () => false },
  };
  const compiled = compileSet(
    { objects: objectSet([...chosen.values()], broken), settings, surroundings, previous, modifiedEpochMs: () => 0 },
    report,
  );
  return { report, ...compiled };
}

/** Objects that must not stay as chosen, of the first layer that has any. */
function refusedTitles(problems: readonly Problem[]): ReadonlySet<string> {
  const titles = problems
    .filter(({ severity, withoutEffect }) => severity === 'error' || withoutEffect)
    .flatMap(({ object }) => object ?? []);
  for (const kinds of LAYERS) {
    const here = titles.filter((title) => kinds.some((kind) => title.startsWith(`${kind} `)));
    if (here.length > 0) return new Set(here);
  }
  return new Set();
}

/**
 * InferencePools that are gone although a policy is about them. What they said stays in force: whoever replaces a pool
 * deletes it first, and the pods that it found still serve.
 */
function addLostPools(chosen: Map<string, AnyObject>, { objects, inForce }: ServedInputs): ReadonlySet<string> {
  const listed = new Set(objects.map(({ title }) => title));
  const lost = new Set<string>();
  for (const version of [...chosen.values()]) {
    const title = `InferencePool ${poolOf(version) ?? ''}`;
    const pool = inForce.get(title);
    if (listed.has(title) || !pool) continue;
    lost.add(title);
    chosen.set(title, pool);
  }
  return lost;
}

function keepOrForget(
  lost: ReadonlySet<string>,
  chosen: Map<string, AnyObject>,
  problems: Map<string, Problem[]>,
): void {
  const used = new Set<string>();
  for (const [title, version] of chosen) {
    const pool = poolOf(version);
    if (pool === undefined || !lost.has(`InferencePool ${pool}`)) continue;
    used.add(`InferencePool ${pool}`);
    const message = `the InferencePool "${pool}" was deleted; what it said stays in force until Pilotlight restarts: add it again, or delete the policy`;
    const path = 'spec.poolRef.name';
    add(problems, title, {
      severity: 'warning',
      source: SERVED_SOURCE,
      object: title,
      path,
      message,
      reason: 'PoolNotFound',
    });
  }
  for (const title of lost) if (!used.has(title)) chosen.delete(title);
}

function poolOf(version: AnyObject): PoolKey | undefined {
  if (version.kind !== 'ScalePolicy' || !version.spec.poolRef) return undefined;
  return `${version.namespace}/${version.spec.poolRef.name}`;
}

function add(problems: Map<string, Problem[]>, title: string | null, problem: Problem): void {
  if (title === null) return;
  const known = problems.get(title) ?? [];
  known.push(problem);
  problems.set(title, known);
}
