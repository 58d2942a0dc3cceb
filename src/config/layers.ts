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

/** Written values by `layerKey` of their leaf (or of the key that has no meaning). Later entries replace earlier ones. */
export type Layer = ReadonlyMap<string, Written>;

/** Between the parts of a key: keys of a file may hold dots, and nobody's holds this. */
const SEPARATOR = '\u0000';

export function layerKey(path: readonly PropertyKey[]): string {
  return path.map(String).join(SEPARATOR);
}

const leafPaths = new Set(LEAVES.map((leaf) => layerKey(leaf.path)));
const branchPaths = new Set(LEAVES.flatMap((leaf) => leaf.path.map((_, depth) => layerKey(leaf.path.slice(0, depth)))));

/** Cuts one `spec` into its leaves. A section that is not a mapping, and unknown keys, stay whole: the schema refuses them. */
export function layerOf(spec: unknown, written: (path: readonly string[]) => Omit<Written, 'value'>): Layer {
  const layer = new Map<string, Written>();
  const cut = (value: unknown, path: readonly string[]) => {
    const key = layerKey(path);
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
  const tree = emptyMapping();
  const shortestFirst = [...layer].sort(([a], [b]) => a.split(SEPARATOR).length - b.split(SEPARATOR).length);
  for (const [key, { value }] of shortestFirst) {
    const path = key.split(SEPARATOR);
    const last = path.pop() ?? '';
    let here: unknown = tree;
    for (const segment of path) {
      if (!isMapping(here)) break;
      here = here[segment] ??= emptyMapping();
    }
    if (isMapping(here)) here[last] = value;
  }
  return tree;
}

/** Where the value at `path` was written; the nearest written ancestor, or null when all of it is default. */
export function sourceOf(layer: Layer, path: readonly PropertyKey[], onKey = false): string | null {
  for (let length = path.length; length >= 0; length -= 1) {
    const written = layer.get(layerKey(path.slice(0, length)));
    if (written) return written.locate(path.slice(length), onKey);
  }
  return null;
}

/** Without a prototype, so that a key called __proto__ is a key like any other. */
function emptyMapping(): Record<string, unknown> {
  return Object.create(null) as Record<string, unknown>;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
