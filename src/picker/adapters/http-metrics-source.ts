import { Agent, request } from 'undici';
import type { MetricsSource } from '../ports.ts';

export interface HttpMetricsSourceOptions {
  readonly timeoutMs?: number;
  readonly maxBytes?: number;
}

/** Scrapes over connections of its own, so that a full model server cannot keep its metrics from us. */
export class HttpMetricsSource implements MetricsSource {
  readonly #timeoutMs: number;
  readonly #maxBytes: number;
  readonly #agent: Agent;

  constructor(options: HttpMetricsSourceOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? 1_000;
    this.#maxBytes = options.maxBytes ?? 4_194_304;
    this.#agent = new Agent({ connections: 1, keepAliveTimeout: 4_000, connect: { timeout: this.#timeoutMs } });
  }

  async scrape(endpointUrl: string, signal: AbortSignal): Promise<string> {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]);
    const answer = await request(`${endpointUrl}/metrics`, { dispatcher: this.#agent, signal: deadline });
    if (answer.statusCode !== 200) {
      await answer.body.dump();
      throw new Error(`/metrics answered with HTTP status ${answer.statusCode}`);
    }
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > this.#maxBytes) throw new Error(`/metrics is larger than ${this.#maxBytes} bytes`);
    }
    return text;
  }

  /** Closes the connections at once. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}
