/** What a connection to the API server proves itself and its peer with. */
export interface TlsMaterial {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** What the next request carries. Holds secrets: never logged. */
export interface Access {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsMaterial;
  /** HTTP proxy in front of the API server. */
  readonly proxyUrl: string | null;
}

export interface Credentials {
  /** Base URL, without a slash at the end. */
  readonly server: string;
  /** Namespace that the source itself names. */
  readonly namespace: string | null;
  /** Where they come from, for people; holds no secret. */
  readonly describe: string;
  /** Cheap: reads again only what may have rotated. */
  current(): Promise<Access>;
  /** Reads everything again at the next `current()`: the server refused what it was shown. */
  renew(): void;
}

/** What `read` answered, for at most `maxAgeMs`; questions at the same time share one reading, and a failed one is not kept. */
export class KeptAccess {
  readonly #read: () => Promise<Access>;
  readonly #maxAgeMs: number;
  readonly #monotonicMs: () => number;
  #access: Promise<Access> | null = null;
  #readAtMs = 0;

  constructor(read: () => Promise<Access>, maxAgeMs: number, monotonicMs: () => number) {
    this.#read = read;
    this.#maxAgeMs = maxAgeMs;
    this.#monotonicMs = monotonicMs;
  }

  current(): Promise<Access> {
    if (this.#access === null || this.#monotonicMs() - this.#readAtMs > this.#maxAgeMs) {
      this.#readAtMs = this.#monotonicMs();
      this.#access = this.#read().catch((error: unknown) => {
        this.#access = null;
        throw error;
      });
    }
    return this.#access;
  }

  /** The next question is answered from a new reading. */
  forget(): void {
    this.#access = null;
  }
}
