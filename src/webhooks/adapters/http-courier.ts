import type { LookupFunction } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { Agent, request } from 'undici';
import type { AttemptResult } from '../policy/delivery.ts';
import { retryAfterOf } from '../policy/retry-after.ts';
import { type HostRules, targetOf } from '../policy/url-rules.ts';
import type { Courier, Parcel } from '../ports.ts';
import { type Address, isPublicAddress, literalAddress, type Resolve, resolveBySystem } from './address-guard.ts';

export interface HttpCourierOptions {
  readonly rules: HostRules;
  /** Everything of one attempt: resolving, connecting, sending, waiting for the answer's head. */
  readonly timeoutMs: number;
  readonly version: string;
  /** Default: the resolver of the machine. */
  readonly resolve?: Resolve;
  /** Default: `isPublicAddress`. */
  readonly isPublic?: (address: string) => boolean;
}

/** Of an answer's body this much is read and thrown away, so that the receiver can finish in peace. */
const MAX_DISCARDED_BYTES = 65_536;
const DISCARD_WITHIN_MS = 1_000;
const MAX_HEADER_BYTES = 16_384;

const NOT_PUBLIC =
  'leads to an address that is not public; an administrator can allow its host with webhooks.allowedHosts';

type Way =
  | { readonly kind: 'open'; readonly addresses: readonly Address[] }
  | { readonly kind: 'refused'; readonly why: string };

/**
 * Sends webhooks over HTTP. A host is resolved once per attempt, every address it has is judged, and the connection goes
 * to those addresses and no others: what a name resolves to a moment later changes nothing. Redirects are answers like
 * any other and are not followed. Each attempt has a connection of its own.
 */
export class HttpCourier implements Courier {
  readonly #options: HttpCourierOptions;

  constructor(options: HttpCourierOptions) {
    this.#options = options;
  }

  async send(parcel: Parcel, signal: AbortSignal): Promise<AttemptResult> {
    // By hand, because AbortSignal.timeout and any live on for as long as the attempt could have taken.
    const attempt = new AbortController();
    const late = new Error('no answer in time');
    const timer = setTimeout(() => attempt.abort(late), this.#options.timeoutMs);
    const onStop = () => attempt.abort(signal.reason);
    signal.addEventListener('abort', onStop);
    if (signal.aborted) onStop();
    try {
      const way = await this.#wayTo(parcel.url, attempt.signal);
      return way.kind === 'refused' ? way : await this.#post(parcel, way.addresses, attempt);
    } catch (error) {
      if (attempt.signal.reason === late) return { kind: 'timeout' };
      return { kind: 'unreachable', why: errorCode(error) };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onStop);
    }
  }

  async refusal(url: string, signal: AbortSignal): Promise<string | null> {
    try {
      const way = await this.#wayTo(url, signal);
      return way.kind === 'refused' ? way.why : null;
    } catch {
      // Nobody knows the host now; it is judged again at each attempt.
      return null;
    }
  }

  /** Rejects when the host is unknown. */
  async #wayTo(url: string, signal: AbortSignal): Promise<Way> {
    const { rules, resolve = resolveBySystem, isPublic = isPublicAddress } = this.#options;
    const target = targetOf(url, rules);
    if (target.kind === 'refused') return target;
    const literal = literalAddress(target.host);
    const addresses = literal ? [literal] : await orAborted(resolve(target.host), signal);
    if (addresses.length === 0) throw Object.assign(new Error('no address'), { code: 'ENOTFOUND' });
    const isOpen = target.isAllowed || addresses.every(({ address }) => isPublic(address));
    return isOpen ? { kind: 'open', addresses } : { kind: 'refused', why: NOT_PUBLIC };
  }

  async #post(parcel: Parcel, addresses: readonly Address[], attempt: AbortController): Promise<AttemptResult> {
    const { timeoutMs, version } = this.#options;
    const agent = new Agent({
      connect: { lookup: pinnedTo(addresses), timeout: timeoutMs },
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      maxHeaderSize: MAX_HEADER_BYTES,
      pipelining: 0,
    });
    try {
      const answer = await request(parcel.url, {
        method: 'POST',
        dispatcher: agent,
        signal: attempt.signal,
        headers: {
          'content-type': 'application/json; charset=utf-8',
          'user-agent': `pilotlight/${version}`,
          ...signedHeaders(parcel),
        },
        body: parcel.payload,
      });
      const asked = answer.headers['retry-after'];
      const patience = setTimeout(() => attempt.abort(), DISCARD_WITHIN_MS);
      await answer.body.dump({ limit: MAX_DISCARDED_BYTES, signal: attempt.signal }).catch(() => undefined);
      clearTimeout(patience);
      const retryAfterMs = typeof asked === 'string' ? retryAfterOf(asked, parcel.sentAtEpochMs) : null;
      return { kind: 'answered', status: answer.statusCode, retryAfterMs };
    } finally {
      // Never waits: whatever the receiver still sends is not ours to hear.
      agent.destroy().catch(() => undefined);
    }
  }
}

/** By the rules of https://www.standardwebhooks.com: one signature for each valid secret. */
function signedHeaders({ messageId, sentAtEpochMs, payload, secrets }: Parcel): Record<string, string> {
  const sentAt = new Date(sentAtEpochMs);
  return {
    'webhook-id': messageId,
    'webhook-timestamp': String(Math.floor(sentAtEpochMs / 1_000)),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(messageId, sentAt, payload)).join(' '),
  };
}

/** Answers every question for an address with those that were judged. */
function pinnedTo(addresses: readonly Address[]): LookupFunction {
  return (_host, options, callback) => {
    const wanted = addresses.filter(({ family }) => !options.family || options.family === family);
    const [first] = wanted;
    if (!first) callback(Object.assign(new Error('no address of that family'), { code: 'ENOTFOUND' }), '', 0);
    else if (options.all) callback(null, [...wanted]);
    else callback(null, first.address, first.family);
  };
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort);
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** "ECONNREFUSED", "UND_ERR_SOCKET", "CERT_HAS_EXPIRED": a code, never a text that names addresses. */
function errorCode(thrown: unknown): string {
  const codes = [thrown, (thrown as { cause?: unknown } | null)?.cause].map(
    (error) => (error as { code?: unknown } | null | undefined)?.code,
  );
  const code = codes.find((known) => typeof known === 'string');
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : 'connection failed';
}
