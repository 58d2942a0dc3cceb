import type { BatchError } from '../../core/batches.ts';
import type { ApiPath } from '../../core/call.ts';
import type { Identity } from '../../core/identity.ts';
import type { FileFindings, FileRules } from '../policy/validation/file-check.ts';
import type { Route, RouteAnswer } from '../policy/validation/route-table.ts';
import type { RowGroup } from '../ports.ts';

/** Where the rows of one pair of model and objective go. */
export type RowRoute = Pick<RowGroup, 'pool' | 'objective' | 'path' | 'model' | 'servedModel' | 'adapter'>;

/**
 * Resolves model and objective for this caller against the objects of this moment. `objective` is what the row or its
 * batch names; null = neither does. An error's line is filled in by validation.
 */
export type ResolveRow = (
  identity: Identity,
  endpoint: ApiPath,
  model: string,
  objective: string | null,
) => RowRoute | Omit<BatchError, 'line'>;

/** What the thread that reads the file needs to know; plain data. */
export type ThreadRules = Omit<FileRules, 'checkBody'>;

export type ToThread =
  | {
      readonly kind: 'start';
      readonly rules: ThreadRules;
      /** See `readLineSet`. */
      readonly onlyLines: Uint8Array | null;
      /** False: the findings are enough (dry run). */
      readonly wantsPlan: boolean;
    }
  /** The next bytes of the file: the first `bytes` of the buffer. */
  | { readonly kind: 'chunk'; readonly buffer: ArrayBuffer; readonly bytes: number }
  | { readonly kind: 'end' }
  /** To `route` and `piece`; null to the latter. */
  | { readonly kind: 'answer'; readonly answer: RouteAnswer | null };

export type FromThread =
  /** A chunk was read; its buffer is free again. */
  | { readonly kind: 'read'; readonly buffer: ArrayBuffer; readonly bytes: number }
  | { readonly kind: 'route'; readonly route: Route }
  /** The next bytes of the plan's blob, or of that of wrong rows. The thread waits for the answer. */
  | { readonly kind: 'piece'; readonly of: 'plan' | 'wrong'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'done'; readonly findings: FileFindings };

/** One thread that checks one file. */
export interface ValidationThread {
  post(message: ToThread, transfer: readonly ArrayBuffer[]): void;
  /** The thread's next message. Throws `internal_error` when it has ended, or says nothing for minutes. */
  next(signal: AbortSignal): Promise<FromThread>;
  /** Ends it, whatever it does. */
  stop(): Promise<void>;
}

/** How the thread sees its starter. */
export interface ThreadPort {
  post(message: FromThread, transfer: readonly ArrayBuffer[]): void;
  onMessage(listener: (message: ToThread) => void): void;
}
