import { asError } from '../../core/errors.ts';
import type { Catalog, CatalogSource, ScaleTarget } from '../../core/objects.ts';
import { systemClock } from '../../platform/clock.ts';
import { type AccessRule, checkAccess, type MissingVerb } from '../../platform/kubernetes/access.ts';
import type { ProcessBase } from '../process-options.ts';
import type { ClusterLink } from './link.ts';
import { RESOURCES } from './resources.ts';

/** Rights are given while processes run, and taken away. */
const CHECK_EVERY_MS = 60_000;
/** While one is missing somebody is at it. */
const CHECK_MISSING_EVERY_MS = 10_000;

const READ = ['get', 'list', 'watch'] as const;
/** Kinds whose plural needs no question; of others the scale target itself says what it may not. */
const WORKLOADS: Readonly<Record<string, string>> = { Deployment: 'deployments', StatefulSet: 'statefulsets' };

/** What every role reads, in one namespace. Of kinds under two groups the chart grants both; either is enough. */
function readRules(namespace: string): AccessRule[] {
  const read = [RESOURCES.pods, RESOURCES.scalePolicies, RESOURCES.objectivePolicies, RESOURCES.pools];
  const either = [RESOURCES.objectives[0], RESOURCES.rewrites[0]];
  return [...read, ...either].map(({ group, plural }) => ({ group, resource: plural, verbs: READ, namespace }));
}

/** What a controller does beyond that. */
function controllerRules(namespace: string): AccessRule[] {
  const { scalePolicies, objectivePolicies, horizontalPodAutoscalers: hpa } = RESOURCES;
  const status = (plural: string) => `${plural}/status`;
  return [
    { group: '', resource: 'pods', verbs: ['patch', 'delete'], namespace },
    { group: '', resource: 'events', verbs: ['list', 'watch', 'create', 'patch'], namespace },
    { group: 'apps', resource: 'replicasets', verbs: ['list'], namespace },
    { group: hpa.group, resource: hpa.plural, verbs: ['list', 'watch'], namespace },
    { group: scalePolicies.group, resource: status(scalePolicies.plural), verbs: ['patch'], namespace },
    { group: objectivePolicies.group, resource: status(objectivePolicies.plural), verbs: ['patch'], namespace },
  ];
}

function workloadRules(namespace: string, { scaleTargetRef }: ScaleTarget): AccessRule[] {
  const plural = scaleTargetRef?.apiVersion === 'apps/v1' ? WORKLOADS[scaleTargetRef.kind] : undefined;
  if (scaleTargetRef === undefined || plural === undefined) return [];
  const of = { group: 'apps', namespace, name: scaleTargetRef.name };
  return [
    { ...of, resource: plural, verbs: ['get'] },
    { ...of, resource: `${plural}/scale`, verbs: ['get', 'patch'] },
  ];
}

/** Asks, again and again, which of the rights that this process needs it lacks. A missing one is reported, never fatal. */
export class RightsCheck {
  readonly #link: ClusterLink;
  readonly #base: ProcessBase;
  readonly #catalog: CatalogSource;
  readonly #stopped = new AbortController();
  #missing: readonly MissingVerb[] | null = null;
  #changed: () => void = () => undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(link: ClusterLink, base: ProcessBase, catalog: CatalogSource) {
    this.#link = link;
    this.#base = base;
    this.#catalog = catalog;
  }

  /** Null = not known yet. */
  missing(): readonly MissingVerb[] | null {
    return this.#missing;
  }

  start(changed: () => void = () => undefined): void {
    this.#changed = changed;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.#check(signal);
      const woken = new AbortController();
      const stopListening = this.#catalog.onChange(() => woken.abort());
      const restMs = this.#missing?.length === 0 ? CHECK_EVERY_MS : CHECK_MISSING_EVERY_MS;
      await systemClock.sleep(restMs, AbortSignal.any([signal, woken.signal])).catch(() => undefined);
      stopListening();
    }
  }

  async #check(signal: AbortSignal): Promise<void> {
    const { log } = this.#base;
    try {
      const missing = await checkAccess(this.#link.api, this.#rules(this.#catalog.current()), signal);
      const before = new Set(this.#missing?.map(({ message }) => message));
      for (const { message } of missing) if (!before.has(message)) log.warn({ message }, 'kubernetes.right_missing');
      this.#missing = missing;
      this.#changed();
    } catch (thrown) {
      if (!signal.aborted) log.warn({ problem: asError(thrown).message }, 'kubernetes.rights_unknown');
    }
  }

  #rules(catalog: Catalog): readonly AccessRule[] {
    const { role } = this.#base.config;
    const { namespaces } = this.#link;
    const reads = namespaces.flatMap(readRules);
    if (role === 'gateway') return reads;
    const pools = [...catalog.pools.values()].filter(({ scale }) => scale.mode === 'Native');
    const workloads = pools.flatMap(({ namespace, targets }) =>
      targets.flatMap((one) => workloadRules(namespace, one)),
    );
    return [...reads, ...namespaces.flatMap(controllerRules), ...workloads];
  }
}
