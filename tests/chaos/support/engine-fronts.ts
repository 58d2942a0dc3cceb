import type { Pod } from '../../cluster/support/kubelet/objects.ts';
import type { TestNamespace } from '../../cluster/support/namespace.ts';
import { type Hole, TcpProxy } from './tcp-proxy.ts';

/** Where a model server listens, and where everybody believes that it does. */
export const ENGINE_PORT = 8_000;
export const FRONT_PORT = 8_001;
const LOOK_EVERY_MS = 50;

/** A proxy in front of each model server, at the pod's own address: opened as pods come, closed as they go. */
export class EngineFronts {
  readonly #namespace: TestNamespace;
  readonly #fronts = new Map<string, TcpProxy>();
  readonly #stopped: Promise<void>;
  #hole: Hole = 'none';
  #isStopped = false;

  constructor(namespace: TestNamespace) {
    this.#namespace = namespace;
    this.#stopped = this.#follow();
  }

  cut(): void {
    for (const front of this.#fronts.values()) front.cut();
  }

  /** Of all that are there and all that come. */
  hole(hole: Hole): void {
    this.#hole = hole;
    for (const front of this.#fronts.values()) front.hole(hole);
  }

  async close(): Promise<void> {
    this.#isStopped = true;
    await this.#stopped;
    await Promise.all([...this.#fronts.values()].map((front) => front.close()));
  }

  async #follow(): Promise<void> {
    while (!this.#isStopped) {
      const pods = (await this.#namespace.pods('app=chat').catch(() => null)) as readonly Pod[] | null;
      if (pods !== null) await this.#be(pods.flatMap(({ status }) => status?.podIP ?? []));
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  async #be(addresses: readonly string[]): Promise<void> {
    for (const host of addresses) {
      if (this.#fronts.has(host)) continue;
      const front = await TcpProxy.open({ host, port: ENGINE_PORT }, { host, port: FRONT_PORT });
      front.hole(this.#hole);
      this.#fronts.set(host, front);
    }
    for (const [host, front] of this.#fronts) {
      if (addresses.includes(host)) continue;
      this.#fronts.delete(host);
      await front.close();
    }
  }
}
