import type { ApiPath } from '../core/call.ts';
import type { LiveOrder } from '../core/live-order.ts';
import type { PoolKey } from '../core/objects.ts';
import type { EndpointRanker } from '../core/picking.ts';
import type { FailureReason } from './policy/failure.ts';

/** What the dispatcher needs of the rest of the program. src/roles hands it in. */

export interface UpstreamRequest {
  /** "http://127.0.0.1:31234" */
  readonly endpointUrl: string;
  readonly path: ApiPath;
  readonly stream: boolean;
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** unreachable: no connection could be made. reset: it broke. protocol: what came was not HTTP. */
export interface TransportFailure {
  readonly kind: 'unreachable' | 'reset' | 'protocol';
  readonly message: string;
}

/** Told what one model server answers: `onHead`, any number of `onData`, then exactly one of `onEnd` and `onFailure`. */
export interface UpstreamReceiver {
  /** Header names are lower case; only the first value of a repeated one. */
  onHead(status: number, headers: Readonly<Record<string, string>>): void;
  /** The chunk belongs to the receiver. */
  onData(chunk: Uint8Array): void;
  onEnd(): void;
  onFailure(failure: TransportFailure): void;
}

export interface UpstreamCall {
  /** No `onData` and no `onEnd` until `resume`; the model server feels it through TCP. */
  pause(): void;
  resume(): void;
  /** Closes the connection; the receiver hears nothing more. Idempotent, harmless after the end. */
  abort(): void;
}

/** Sends calls to model servers over HTTP. No retries, no redirects, no timeouts but the one for connecting. */
export interface ModelServer {
  open(request: UpstreamRequest, receiver: UpstreamReceiver): UpstreamCall;
  /** True when the server answers on its health page with less than 500 within `timeoutMs`. Never throws. */
  probe(endpointUrl: string, timeoutMs: number): Promise<boolean>;
  /** The endpoint is gone: its connections close as soon as their calls end. */
  forget(endpointUrl: string): void;
  /** Closes everything at once. */
  close(): Promise<void>;
}

/** Hears how each attempt ended, to size and to close endpoints. */
export interface EndpointHealth {
  report(endpointId: string, result: 'ok' | FailureReason): void;
  /** False while the endpoint is closed because it failed. */
  isOpen(endpointId: string): boolean;
}

/**
 * Which of several gateways tells the ledger the slots of a pool: each knows them, one may say them, so that two views
 * of the same endpoint never take turns.
 */
export interface PublishRight {
  isHeld(): boolean;
  /**
   * Called when it was won or lost, and once more when whoever held it before cannot be at it any more: what was said
   * until then may have been overwritten. Returns the way to stop.
   */
  onChange(listener: () => void): () => void;
  /** Gives it up at once. */
  close(): Promise<void>;
}

/** What a gateway knows of the endpoints: as they are, as they were a while ago, or nothing yet. */
export type EndpointKnowledge = 'live' | 'old' | 'none';

/** What runs the calls of one pool. */
export interface PoolRuntime {
  readonly order: LiveOrder;
  readonly ranker: EndpointRanker;
  readonly health: EndpointHealth;
}

export type PoolRuntimes = (pool: PoolKey) => PoolRuntime | undefined;
