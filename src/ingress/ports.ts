import type { PilotlightError } from '../core/errors.ts';
import type { Identity } from '../core/identity.ts';
import type { PoolKey } from '../core/objects.ts';
import type { StatusReport } from '../core/status.ts';

/** Request headers as Node gives them: lower-case names. */
export type CallHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * Decides who calls, from the request's headers alone. Never throws or rejects. API keys, and tokens that were checked a
 * moment ago, are answered at once; a promise means that somebody else is being asked, and settles within seconds.
 */
export interface Authenticator {
  authenticate(headers: CallHeaders): Identity | PilotlightError | Promise<Identity | PilotlightError>;
}

/** What those who issue tokens say of one. Texts never repeat the token. */
export type TokenAnswer<S> =
  /** `expiresAtEpochMs` null = it does not end by itself. */
  | { readonly kind: 'accepted'; readonly subject: S; readonly expiresAtEpochMs: number | null }
  /** `why` completes "The token …": "has expired". */
  | { readonly kind: 'refused'; readonly why: string }
  /** `why` completes "… cannot be checked now, because …". */
  | { readonly kind: 'unavailable'; readonly why: string };

/** Checks tokens. Never throws or rejects. */
export interface TokenAuthority<S> {
  check(token: string): TokenAnswer<S> | Promise<TokenAnswer<S>>;
}

/** Whom the API server takes the bearer of a token for. */
export interface KubeUser {
  /** "system:serviceaccount:NAMESPACE:NAME" for a ServiceAccount. */
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** What somebody wants of the admin listener. */
export type AdminAction =
  /** A verb on ScalePolicies. `name` null = all of the namespace. */
  | {
      readonly kind: 'policy';
      readonly verb: 'get' | 'list' | 'wake' | 'drain' | 'pause' | 'reconcile' | 'retry' | 'purge';
      readonly namespace: string;
      readonly name: string | null;
    }
  | { readonly kind: 'metrics' };

/** Decides whether a request on the admin listener may do what it wants, and tells for the record who it is. Never rejects. */
export interface AdminAuthorizer {
  authorize(headers: CallHeaders, action: AdminAction): Promise<{ readonly by: string } | PilotlightError>;
}

/** `/readyz` is false only at start and in drain; a broken Redis is a 503 on calls, not an empty Service. */
export type Readiness =
  | { readonly kind: 'ready' }
  | { readonly kind: 'starting'; readonly reason: string }
  /** New calls get 503 `draining`; those in flight finish. */
  | { readonly kind: 'draining'; readonly reason: string };

export interface ReadinessSource {
  readiness(): Readiness;
}

/** Ids that sort by time and never repeat, and chance. */
export interface IdSource {
  /** "req_…" */
  requestId(): string;
  /** "job_…" */
  jobId(): string;
  /** "resp_…": of a background response, which is a job. */
  responseId(): string;
  /** At random, in [0, 1): which of several targets of a rewrite a call gets. */
  chance(): number;
}

/** What the admin listener shows of the running system. */
export interface StatusSource {
  status(): Promise<StatusReport>;
  /** The latest scale decisions of a pool, newest first, as JSON values; undefined = no such pool. */
  decisions(pool: PoolKey): Promise<readonly unknown[] | undefined>;
}

/** Metrics in the text format that Prometheus scrapes. */
export interface MetricsSource {
  readonly contentType: string;
  metrics(): Promise<string>;
}

/** The part of an HTTP response that an answer needs; Node's ServerResponse is one. */
export interface AnswerWriter {
  readonly headersSent: boolean;
  readonly writableNeedDrain: boolean;
  readonly writableEnded: boolean;
  readonly destroyed: boolean;
  writeHead(status: number, headers: Record<string, string>): unknown;
  write(chunk: Uint8Array | string): boolean;
  end(chunk?: Uint8Array | string): unknown;
  destroy(): unknown;
  once(event: 'drain' | 'close', listener: () => void): unknown;
  off(event: 'drain' | 'close', listener: () => void): unknown;
}

/** What a form's file becomes while it is received. */
export interface FormTaker<T> {
  /** Reads the source to its end. */
  take(source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<T>;
  /** The rest of the form was bad. */
  drop(taken: T): Promise<void>;
}

export interface ReadForm<T> {
  readonly fields: ReadonlyMap<string, string>;
  /** As the part named it, without folders; null = it had none. */
  readonly filename: string | null;
  readonly file: T;
}

/** A request's body as a form with one file, read as it arrives and never held whole. */
export interface FormReader {
  /**
   * Throws for a body that is no such form, that breaks off or stalls, or that is larger than `maxBytes` by its own account.
   * What was taken of the file is dropped then.
   */
  read<T>(fileField: string, maxBytes: number, taker: FormTaker<T>, signal: AbortSignal): Promise<ReadForm<T>>;
}
