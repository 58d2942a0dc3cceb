import type { Sample } from './exposition.ts';

/** vLLM keeps every combination it ever had; a test server that runs for days needs a bound. */
const KEPT_COMBINATIONS = 64;

/**
 * The samples of `vllm:lora_requests_info`: one for each combination of adapters seen, its value the epoch second when
 * it was last true. Readers take the newest value.
 */
export class AdapterInfo {
  readonly #maxAdapters: number;
  readonly #seen = new Map<string, Sample>();

  constructor(maxAdapters: number) {
    this.#maxAdapters = maxAdapters;
  }

  note(running: readonly string[], waiting: readonly string[], nowEpochMs: number): void {
    const labels = {
      max_lora: String(this.#maxAdapters),
      running_lora_adapters: running.join(','),
      waiting_lora_adapters: waiting.join(','),
    };
    const key = `${labels.running_lora_adapters};${labels.waiting_lora_adapters}`;
    this.#seen.delete(key);
    this.#seen.set(key, { labels, value: nowEpochMs / 1_000 });
    if (this.#seen.size <= KEPT_COMBINATIONS) return;
    for (const oldest of this.#seen.keys()) {
      this.#seen.delete(oldest);
      return;
    }
  }

  samples(): Sample[] {
    return [...this.#seen.values()];
  }
}
