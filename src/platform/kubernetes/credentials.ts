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
