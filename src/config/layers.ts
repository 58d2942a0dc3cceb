import { LEAVES } from './schema/configuration.ts';

/** A value as somebody wrote it, and where. */
export interface Written {
  readonly value: unknown;
  /** Where the value, or a field below it, was written; the key itself when `onKey`. */
  readonly locate: (below: readonly PropertyKey[], onKey: boolean) => string;
  /** "file", "environment" or "flag": the layer it belongs to, for people. */
  readonly layer: 'file' | 'environment' | 'flag';
  /** File that relative paths in it refer to; null = the working directory. */
  readonly file: string | null;
}

/** Written values by dotted path of their leaf (or of the key that has no meaning). Later entries replace earlier ones. */
export type Layer = ReadonlyMap<string, Written>;

const leafPaths = new Set(LEAVES.map((leaf) => leaf.path.join('.')));
const branchPaths = new Set(LEAVES.flatMap((leaf) => leaf.path.map((_, depth) => leaf.path.slice(0, depth).join('.'))));

/** Cuts one `spec` into its leaves. A section that is not a mapping, and unknown keys, stay whole: the schema refuses them. */
export function layerOf(spec: unknown, written: (path: readonly string[]) => Omit<Written, 'value'>): Layer {
  const layer = new Map<string, Written>();
  const cut = (value: unknown, path: readonly string[]) => {
    const key = path.join('.');
    const isBranch = branchPaths.has(key) && !leafPaths.has(key);
    if (isBranch && value === null) return;
    if (isBranch && isMapping(value)) {
      for (const [name, below] of Object.entries(value)) cut(below, [...path, name]);
    } else {
      layer.set(key, { value, ...written(path) });
    }
  };
  cut(spec ?? {}, []);
  return layer;
}

export function mergeLayers(layers: readonly Layer[]): Layer {
  return new Map(layers.flatMap((layer) => [...layer]));
}

/** The written values as one tree, for the schema. A section written as something else keeps that, so that it is refused. */
export function treeOf(layer: Layer): Record<string, unknown> {
  const tree: Record<string, unknown> = {};
  const shortestFirst = [...layer].sort(([a], [b]) => a.split('.').length - b.split('.').length);
  for (const [key, { value }] of shortestFirst) {
    const path = key.split('.');
    const last = path.pop() ?? '';
    let here: unknown = tree;
    for (const segment of path) {
      if (!isMapping(here)) break;
      here = here[segment] ??= {};
    }
    if (isMapping(here)) here[last] = value;
  }
  return tree;
}

/** Where the value at `path` was written; the nearest written ancestor, or null when all of it is default. */
export function sourceOf(layer: Layer, path: readonly PropertyKey[], onKey = false): string | null {
  for (let length = path.length; length >= 0; length -= 1) {
    const written = layer.get(path.slice(0, length).join('.'));
    if (written) return written.locate(path.slice(length), onKey);
  }
  return null;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
