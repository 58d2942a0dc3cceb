import { setTimeout as sleep } from 'node:timers/promises';

/** Of one process at one moment, MB. What is resident beyond heap and external is code, stacks, and what malloc keeps. */
export interface MemoryMb {
  readonly rss: number;
  readonly heapUsed: number;
  readonly heapTotal: number;
  readonly external: number;
}

const LOOK_EVERY_MS = 500;
const MB = 1e6;

/** Memory of a `pilotlight serve` while it goes through stages: of each the look at which most was resident. */
export class MemoryWatch {
  readonly #adminUrl: string;
  readonly #peaks = new Map<string, MemoryMb>();
  readonly #stop = new AbortController();
  readonly #looks: Promise<void>;
  #stage = 'rest';

  constructor(adminUrl: string) {
    this.#adminUrl = adminUrl;
    this.#looks = this.#watch();
  }

  enter(stage: string): void {
    this.#stage = stage;
  }

  async stop(): Promise<Readonly<Record<string, MemoryMb>>> {
    this.#stop.abort();
    await this.#looks;
    return Object.fromEntries(this.#peaks);
  }

  async #watch(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const stage = this.#stage;
      const now = readMemory(await (await fetch(`${this.#adminUrl}/metrics`)).text());
      if (now.rss > (this.#peaks.get(stage)?.rss ?? 0)) this.#peaks.set(stage, now);
      await sleep(LOOK_EVERY_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }
}

function readMemory(metrics: string): MemoryMb {
  const of = (name: string): number => {
    const value = new RegExp(`^${name} ([\\d.e+]+)`, 'm').exec(metrics)?.[1];
    if (value === undefined) throw new Error(`/metrics has no ${name}`);
    return Math.round(Number(value) / MB);
  };
  return {
    rss: of('process_resident_memory_bytes'),
    heapUsed: of('nodejs_heap_size_used_bytes'),
    heapTotal: of('nodejs_heap_size_total_bytes'),
    external: of('nodejs_external_memory_bytes'),
  };
}
