import type { TraceRequest } from '../trace.ts';

/** One request of the demo before it has a text. */
export interface PlannedRequest {
  /** Among those of its kind, from 0. */
  readonly index: number;
  /** Since the first moment of the run. */
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

export interface Workload {
  /** Of the batch: they come in together, in one file. */
  readonly rows: readonly PlannedRequest[];
  readonly chats: readonly PlannedRequest[];
}

export interface WorkloadShape {
  readonly rows: number;
  readonly chats: number;
  /** The file of rows comes in at `rowsAfterMs`, the chats within their time from 0 on. */
  readonly rowsAfterMs: number;
  readonly chatsWithinMs: number;
}

/** Room for the instructions at the short end; at the long end a prompt that fits any model server with an answer. */
const PROMPT_TOKENS = { least: 64, most: 6_144 } as const;
const OUTPUT_TOKENS = { least: 8, most: 1_024 } as const;

/**
 * Deals the requests of a trace out to rows and chats, evenly over its length. Both keep its order and its token counts, cut to
 * what a model server takes; chats keep its relative gaps, compressed in time. `trace` must hold `rows + chats` requests.
 */
export function planWorkload(trace: readonly TraceRequest[], shape: WorkloadShape): Workload {
  const total = shape.rows + shape.chats;
  const rows: TraceRequest[] = [];
  const chats: TraceRequest[] = [];
  for (const [at, request] of trace.slice(0, total).entries()) {
    // The first request is a chat, if there is one: it is what wakes the pool.
    const chatsUntilHere = Math.ceil(((at + 1) * shape.chats) / total);
    (chatsUntilHere > chats.length ? chats : rows).push(request);
  }
  return {
    rows: compressed(rows, shape.rowsAfterMs, 0),
    chats: compressed(chats, 0, shape.chatsWithinMs),
  };
}

function compressed(requests: readonly TraceRequest[], startMs: number, withinMs: number): PlannedRequest[] {
  const firstMs = requests[0]?.arrivalMs ?? 0;
  const spanMs = (requests.at(-1)?.arrivalMs ?? 0) - firstMs;
  const factor = spanMs > 0 ? withinMs / spanMs : 0;
  return requests.map((request, index) => ({
    index,
    atMs: startMs + (request.arrivalMs - firstMs) * factor,
    promptTokens: clamp(request.contextTokens, PROMPT_TOKENS),
    outputTokens: clamp(request.generatedTokens, OUTPUT_TOKENS),
  }));
}

function clamp(value: number, { least, most }: { readonly least: number; readonly most: number }): number {
  return Math.min(most, Math.max(least, value));
}
