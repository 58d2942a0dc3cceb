import type { FileProbe } from './file-probe.ts';
import type { ObjectKind } from './parse-objects.ts';

/** Where objects come from and what they may therefore be. */
export interface Surroundings {
  /** This installation's name: a policy with another `className` is not ours. */
  readonly installation: string;
  /** Whether targets are scaled through an API server; otherwise they are local processes. */
  readonly kubernetes: boolean;
  /** Whether the objects themselves come from there, where each has an owner of its own. */
  readonly served: boolean;
  /** Kinds that cannot be read at all, and why. */
  readonly missing: ReadonlyMap<ObjectKind, string>;
  readonly probe: FileProbe;
}
