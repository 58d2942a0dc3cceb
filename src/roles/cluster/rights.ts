import { asError } from '../../core/errors.ts';
import type { KubeResource } from '../../core/kubernetes.ts';
import type { Catalog, CatalogSource } from '../../core/objects.ts';
import { systemClock } from '../../platform/clock.ts';
import { type AccessRule, checkAccess, type MissingVerb } from '../../platform/kubernetes/access.ts';
import { discover } from '../../platform/kubernetes/discovery.ts';
import type { ProcessBase } from '../process-options.ts';
import type { ClusterLink } from './link.ts';
import { OPTIONAL_OF_CONTROLLER, OPTIONAL_RESOURCES, rightRules } from './right-rules.ts';

/** Rights are given while processes run, and taken away. */
const CHECK_EVERY_MS = 60_000;
/** While one is missing somebody is at it. */
const CHECK_MISSING_EVERY_MS = 10_000;
/** Each rule is a request or more, so many pools are asked about less often: a hundred about every five minutes. */
const REST_FOR_EACH_RULE_MS = 1_500;
const REST_FOR_EACH_RULE_WHILE_MISSING_MS = 250;

/** Asks, again and again, which of the rights that this process needs it lacks. A missing one is reported, never fatal. */
export class RightsCheck {
  readonly #link: ClusterLink;
  readonly #base: ProcessBase;
  readonly #catalog: CatalogSource;
  readonly #stopped = new AbortController();
  #missing: readonly MissingVerb[] | null = null;
  /** Rules of the last check. */
  #asked = 0;
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
      const restMs = this.#restMs();
      await systemClock.sleep(restMs, AbortSignal.any([signal, woken.signal])).catch(() => undefined);
      stopListening();
    }
  }

  #restMs(): number {
    return this.#missing?.length === 0
      ? Math.max(CHECK_EVERY_MS, this.#asked * REST_FOR_EACH_RULE_MS)
      : Math.max(CHECK_MISSING_EVERY_MS, this.#asked * REST_FOR_EACH_RULE_WHILE_MISSING_MS);
  }

  async #check(signal: AbortSignal): Promise<void> {
    const { log } = this.#base;
    try {
      const rules = await this.#rules(this.#catalog.current(), signal);
      this.#asked = rules.length;
      const missing = await checkAccess(this.#link.api, rules, signal);
      const before = new Set(this.#missing?.map(({ message }) => message));
      for (const { message } of missing) if (!before.has(message)) log.warn({ message }, 'kubernetes.right_missing');
      this.#missing = missing;
      this.#changed();
    } catch (thrown) {
      if (!signal.aborted) log.warn({ problem: asError(thrown).message }, 'kubernetes.rights_unknown');
    }
  }

  async #rules(catalog: Catalog, signal: AbortSignal): Promise<readonly AccessRule[]> {
    const { role, installation } = this.#base.config;
    const { api, namespaces } = this.#link;
    const optional = role === 'gateway' ? OPTIONAL_RESOURCES : [...OPTIONAL_RESOURCES, ...OPTIONAL_OF_CONTROLLER];
    const served: KubeResource[] = [];
    for (const candidates of optional) {
      const index = await discover(api, candidates, signal);
      const found = index === null ? undefined : candidates[index];
      if (found !== undefined) served.push(found);
    }
    const pools = [...catalog.pools.values()];
    return rightRules({ role, installation, ownNamespace: api.namespace, namespaces, served, pools });
  }
}
