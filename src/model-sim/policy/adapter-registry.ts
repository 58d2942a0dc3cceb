import { type ApiError, badRequest, notFound } from './api-error.ts';

/** Adapters that one server can know at once, so that a loop of loads cannot fill its memory. */
const MAX_KNOWN_ADAPTERS = 10_000;

export interface Adapter {
  readonly name: string;
  readonly path: string;
  readonly loadedAtEpochS: number;
}

/**
 * The LoRA adapters that the server knows, in order of loading. No weights are read: every path counts as there,
 * except one whose last part begins with "missing".
 */
export class AdapterRegistry {
  readonly #enabled: boolean;
  readonly #baseModels: readonly string[];
  readonly #adapters = new Map<string, Adapter>();

  constructor(enabled: boolean, baseModels: readonly string[]) {
    this.#enabled = enabled;
    this.#baseModels = baseModels;
  }

  has(name: string): boolean {
    return this.#adapters.has(name);
  }

  list(): Adapter[] {
    return [...this.#adapters.values()];
  }

  /** Null when the adapter is loaded now; else vLLM's refusal. */
  load(name: unknown, path: unknown, nowEpochS: number): ApiError | null {
    if (!this.#enabled)
      return notFound('This server was started without adapters; start it with --max-loras 1 or more.');
    if (typeof name !== 'string' || name === '' || typeof path !== 'string' || path === '') {
      return badRequest('lora_name and lora_path must both be non-empty strings.');
    }
    if (this.#adapters.has(name)) return badRequest(`The adapter "${name}" is already loaded.`, 'lora_name');
    if (this.#baseModels.includes(name)) return badRequest(`"${name}" is the name of the base model.`, 'lora_name');
    if (this.#adapters.size >= MAX_KNOWN_ADAPTERS)
      return badRequest(`At most ${MAX_KNOWN_ADAPTERS} adapters can be loaded.`);
    if (path.split('/').at(-1)?.startsWith('missing'))
      return notFound(`There is no adapter at "${path}".`, 'lora_path');
    this.#adapters.set(name, { name, path, loadedAtEpochS: nowEpochS });
    return null;
  }

  /** Null when the adapter is gone now. */
  unload(name: unknown): ApiError | null {
    if (!this.#enabled)
      return notFound('This server was started without adapters; start it with --max-loras 1 or more.');
    if (typeof name !== 'string' || name === '') return badRequest('lora_name must be a non-empty string.');
    return this.#adapters.delete(name) ? null : notFound(`The adapter "${name}" is not loaded.`, 'lora_name');
  }
}
