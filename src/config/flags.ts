import { suggestion } from './did-you-mean.ts';
import { type Layer, layerKey, type Written } from './layers.ts';
import { readLeafValue } from './leaf-value.ts';
import type { Problem } from './problem.ts';
import { LEAVES } from './schema/configuration.ts';

/** A setting given on the command line: `--set server.port=8081`, or a flag of its own such as `--port 8081`. */
export interface FlagSetting {
  /** As typed, without the value: "--set server.port" or "--port". */
  readonly flag: string;
  /** "server.port" */
  readonly path: string;
  readonly text: string;
}

const leafByPath = new Map(LEAVES.map((leaf) => [leaf.path.join('.'), leaf]));

/** Cuts "server.port=8081" at the first "=". */
export function parseSetFlag(argument: string): FlagSetting {
  const equals = argument.indexOf('=');
  const path = equals < 0 ? argument : argument.slice(0, equals);
  return { flag: `--set ${path}`, path, text: equals < 0 ? '' : argument.slice(equals + 1) };
}

export function flagLayer(flags: readonly FlagSetting[]): { layer: Layer; problems: readonly Problem[] } {
  const layer = new Map<string, Written>();
  const problems: Problem[] = [];
  for (const { flag, path, text } of flags) {
    const leaf = leafByPath.get(path);
    const problem = (message: string) => {
      problems.push({ severity: 'error', source: flag, object: null, path, message });
    };
    if (!leaf) {
      problem(`no such setting; ${suggestion(path, [...leafByPath.keys()])}`);
    } else if (text === '') {
      problem(`no value given; write --set ${path}=VALUE`);
    } else if (leaf.schema.opaque || (leaf.schema.secret && holdsPassword(text))) {
      problem('the process list shows flags to everybody; give it in a file or in the environment');
    } else {
      const read = readLeafValue(leaf, text);
      if (read.ok) layer.set(layerKey(leaf.path), { value: read.value, locate: () => flag, layer: 'flag', file: null });
      else problem(read.problem);
    }
  }
  return { layer, problems };
}

function holdsPassword(text: string): boolean {
  return URL.canParse(text) && new URL(text).password !== '';
}
