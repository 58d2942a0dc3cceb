import { closest, suggestion } from './did-you-mean.ts';
import { type Layer, layerKey, type Written } from './layers.ts';
import { readLeafValue } from './leaf-value.ts';
import type { Problem } from './problem.ts';
import { LEAVES } from './schema/configuration.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = 'PILOTLIGHT_';

/** Read elsewhere: by the client commands, for debugging, by supervisors, and by the project's own scripts and tests. */
const NOT_SETTINGS =
  /^PILOTLIGHT_(URL|ADMIN_URL|API_KEY|DEBUG|EXIT_WITH_PARENT|REPLICA_UID|(TEST|BENCH|DEMO|CACHE|BUILD)_.*)$/;
/** What Kubernetes adds to every pod for a Service whose name starts with "pilotlight". */
const SERVICE_LINK = /_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/;
const SERVICE_LINK_VALUE = /^(tcp|udp|sctp):\/\//;

const leafByName = new Map(LEAVES.map((leaf) => [environmentName(leaf.path), leaf]));

/** "PILOTLIGHT_TIMEOUTS_MAX_HOLD" for timeouts.maxHold. */
export function environmentName(path: readonly string[]): string {
  return PREFIX + path.map((key) => key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('_');
}

/** Settings given as environment variables. An empty variable is one that is not set. */
export function environmentLayer(environment: Environment): { layer: Layer; problems: readonly Problem[] } {
  const layer = new Map<string, Written>();
  const problems: Problem[] = [];
  for (const [name, text] of Object.entries(environment).sort(([a], [b]) => a.localeCompare(b))) {
    if (!isSetting(name, text)) continue;
    const problem = (path: string, message: string) => {
      problems.push({ severity: 'error', source: name, object: null, path, message });
    };
    const leaf = leafByName.get(name);
    if (!leaf) {
      problem('', `no such setting; ${hint(name)}`);
      continue;
    }
    const path = leaf.path.join('.');
    const read = readLeafValue(leaf, text);
    if (read.ok)
      layer.set(layerKey(leaf.path), { value: read.value, locate: () => name, layer: 'environment', file: null });
    else problem(path, read.problem);
  }
  return { layer, problems };
}

function isSetting(name: string, text: string | undefined): text is string {
  if (!name.startsWith(PREFIX) || text === undefined || text === '') return false;
  return !NOT_SETTINGS.test(name) && !SERVICE_LINK.test(name) && !SERVICE_LINK_VALUE.test(text);
}

function hint(name: string): string {
  const names = [...leafByName.keys()];
  const close = closest(
    name.slice(PREFIX.length),
    names.map((known) => known.slice(PREFIX.length)),
  );
  if (close === undefined) return 'unset it, or see docs/configuration.md for the names';
  return suggestion(name, [PREFIX + close]);
}
