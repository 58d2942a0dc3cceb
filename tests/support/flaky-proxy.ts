import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { seededRandom } from '../../src/core/random.ts';

/**
 * What becomes of one request. `unavailable` and `slow_down`: 503 without reaching the server. `reset`: the connection is
 * cut before the server sees it. `lost_answer`: the server has done it, and the client never hears. `cut_body`: the
 * connection ends in the middle of the answer. `stall`: the answer stops in the middle, and the connection stays.
 * `silent`: nothing comes back, ever. `denied`: 403, for lack of rights. `over_quota`: 403, for lack of room.
 */
export type Mishap =
  | 'pass'
  | 'unavailable'
  | 'slow_down'
  | 'reset'
  | 'lost_answer'
  | 'cut_body'
  | 'stall'
  | 'silent'
  | 'denied'
  | 'over_quota';

export interface ProxiedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** 0 for the first. */
  readonly index: number;
}

/** An HTTP proxy in front of a service that is having a bad day. */
export interface FlakyProxy {
  readonly endpoint: string;
  /** Requests so far, and those among them that met a mishap. */
  readonly requests: number;
  readonly mishaps: number;
  /** From the next request on. At the start everything passes. */
  misbehave(decide: (request: ProxiedRequest) => Mishap): void;
  close(): Promise<void>;
}

/** That share of the requests fails, each in one of the ways given; the same ones for the same seed. */
export function brownOut(
  share: number,
  seed: number,
  ways: readonly Mishap[] = ['unavailable', 'slow_down', 'reset', 'lost_answer', 'cut_body'],
): () => Mishap {
  const random = seededRandom(seed);
  return () => (random.next() < share ? (ways[Math.floor(random.next() * ways.length)] ?? 'pass') : 'pass');
}

const REFUSALS: Partial<Record<Mishap, Refusal>> = {
  unavailable: { status: 503, code: 'ServiceUnavailable' },
  slow_down: { status: 503, code: 'SlowDown' },
  denied: { status: 403, code: 'AccessDenied' },
  over_quota: { status: 403, code: 'QuotaExceeded' },
};

interface Refusal {
  readonly status: number;
  readonly code: string;
}

/** `dropHeaders` (lower case) never reach the server, as if it did not know them. */
export async function startFlakyProxy(
  targetEndpoint: string,
  { dropHeaders = [] }: { readonly dropHeaders?: readonly string[] } = {},
): Promise<FlakyProxy> {
  const target = new URL(targetEndpoint);
  const state = { requests: 0, mishaps: 0, decide: (() => 'pass') as (request: ProxiedRequest) => Mishap };
  const server = createServer((incoming, outgoing) => {
    const { method = 'GET', url = '/' } = incoming;
    const mishap = state.decide({ method, url, index: state.requests });
    state.requests += 1;
    if (mishap !== 'pass') state.mishaps += 1;
    incoming.on('error', () => undefined);
    outgoing.on('error', () => undefined);
    const refusal = REFUSALS[mishap];
    if (refusal) refuse(incoming, outgoing, refusal);
    else if (mishap === 'reset') incoming.socket.destroy();
    else if (mishap === 'silent') incoming.resume();
    else forward(target, { incoming, outgoing, mishap, dropHeaders });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get requests() {
      return state.requests;
    },
    get mishaps() {
      return state.mishaps;
    },
    misbehave(decide) {
      state.decide = decide;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function refuse(incoming: IncomingMessage, outgoing: ServerResponse, { status, code }: Refusal): void {
  incoming.resume();
  outgoing.writeHead(status, { 'content-type': 'application/xml' });
  outgoing.end(
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>made to fail</Message></Error>`,
  );
}

interface Forwarded {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly mishap: Mishap;
  readonly dropHeaders: readonly string[];
}

function forward(target: URL, { incoming, outgoing, mishap, dropHeaders }: Forwarded): void {
  const { method, url } = incoming;
  const headers = Object.fromEntries(Object.entries(incoming.headers).filter(([name]) => !dropHeaders.includes(name)));
  const upstream = request({ host: target.hostname, port: target.port, method, path: url, headers }, (answer) => {
    if (mishap === 'lost_answer') {
      answer.resume();
      answer.once('end', () => incoming.socket.destroy());
      return;
    }
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    if (mishap === 'pass') {
      answer.pipe(outgoing);
      return;
    }
    const halfBytes = Math.floor(Number(answer.headers['content-length'] ?? 0) / 2);
    let passedBytes = 0;
    outgoing.flushHeaders();
    answer.on('data', (chunk: Buffer) => {
      const part = chunk.subarray(0, Math.max(0, halfBytes - passedBytes));
      passedBytes += chunk.byteLength;
      outgoing.write(part);
    });
    answer.once('end', () => {
      // Answers without a body cannot be cut in the middle: they are lost instead.
      if (mishap === 'cut_body') incoming.socket.destroySoon();
    });
  });
  upstream.once('error', () => incoming.socket.destroy());
  outgoing.once('close', () => upstream.destroy());
  incoming.pipe(upstream);
}
