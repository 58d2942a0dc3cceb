import type { Clock } from '../../core/clock.ts';
import type { ApiAnswer, ApiCall, DemoApi, FileCall, StreamEnd, StreamListener } from './adapters/api.ts';
import type { ServeProcess } from './adapters/serve-process.ts';

export interface SessionOptions {
  readonly api: DemoApi;
  readonly server: ServeProcess;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** API keys of the two callers. */
  readonly keys: { readonly rows: string; readonly chats: string };
  readonly seed: number;
}

type CallWithoutOrigin = Omit<ApiCall, 'origin'>;

/** After a lost connection, before the next try: the supervisor sees the death of the process a moment later. */
const LOST_PAUSE_MS = 200;

/** What the parts of one run share: the server wherever it is now, the time since the run began, its end. */
export class Session {
  readonly keys: SessionOptions['keys'];
  readonly seed: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly #options: SessionOptions;
  readonly #startedMs: number;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.keys = options.keys;
    this.seed = options.seed;
    this.clock = options.clock;
    this.signal = options.signal;
    this.#startedMs = options.clock.monotonicMs();
  }

  /** Milliseconds since the run began. */
  elapsedMs(): number {
    return this.clock.monotonicMs() - this.#startedMs;
  }

  /** Waits until that moment of the run. */
  async until(atMs: number): Promise<void> {
    const delayMs = atMs - this.elapsedMs();
    if (delayMs > 0) await this.clock.sleep(delayMs, this.signal);
  }

  async send(call: CallWithoutOrigin): Promise<ApiAnswer> {
    const { apiUrl } = await this.#options.server.address(this.signal);
    return this.#options.api.send({ ...call, origin: apiUrl }, this.signal);
  }

  async sendToAdmin(call: CallWithoutOrigin): Promise<ApiAnswer> {
    const { adminUrl } = await this.#options.server.address(this.signal);
    return this.#options.api.send({ ...call, origin: adminUrl }, this.signal);
  }

  async upload(call: Omit<FileCall, 'origin'>): Promise<ApiAnswer> {
    const { apiUrl } = await this.#options.server.address(this.signal);
    return this.#options.api.upload({ ...call, origin: apiUrl }, this.signal);
  }

  async download(call: Omit<FileCall, 'origin'>): Promise<ApiAnswer> {
    const { apiUrl } = await this.#options.server.address(this.signal);
    return this.#options.api.download({ ...call, origin: apiUrl }, this.signal);
  }

  async stream(call: CallWithoutOrigin, listener: StreamListener): Promise<StreamEnd> {
    const { apiUrl } = await this.#options.server.address(this.signal);
    return this.#options.api.stream({ ...call, origin: apiUrl }, listener, this.signal);
  }

  /** To be awaited after a lost answer, before the call is sent again. */
  async pauseAfterLoss(): Promise<void> {
    await this.clock.sleep(LOST_PAUSE_MS, this.signal);
  }
}
