import type { RedisClient } from '../../../platform/redis/connection.ts';
import { asError, PilotlightError } from '../../../core/errors.ts';
import type { Random } from '../../../core/random.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import {
  ROW_STATES,
  type RowEnd,
  type RowGate,
  type RowStates,
  RowStatesLost,
  type RowTotals,
  type RowWord,
} from '../../ports.ts';
import { decodeWords, encodeEnds, highestSegment, WORD_BYTES } from './row-words.ts';

const KEYS = ['words', 'totals', 'segments', 'crashes'] as const;
type Keys = Readonly<Record<(typeof KEYS)[number], string>>;

/** One script runs at most this many ends or places: some 3 ms of Redis. */
const COMMIT_ENDS = 1_000;
const CLOSE_ROWS = 20_000;
/** Batches whose segment keys are remembered. */
const KNOWN_BATCHES = 64;

interface Segments {
  /** Numbers are given anew when Redis lost the batch and it was opened again. */
  readonly epoch: string;
  readonly keys: ReadonlyMap<number, string>;
}

/**
 * Row states in Redis, four keys a batch under "<prefix>:{batch/<id>}:": `rows` (16 bytes a row), `row-totals`,
 * `row-segments` (key of a segment of records → its number, given at its first commit), `row-crashes`.
 */
export class RedisRowStates implements RowStates {
  readonly #client: RedisClient;
  readonly #prefix: string;
  readonly #random: Random;
  readonly #segments = new Map<string, Segments>();

  constructor(client: RedisClient, prefix: string, random: Random) {
    this.#client = client;
    this.#prefix = prefix;
    this.#random = random;
  }

  async open(batchId: string, rows: number, gate: RowGate): Promise<void> {
    const epoch = this.#random.next().toString(36).slice(2);
    await reached(() => openScript(this.#client, { keys: this.#keys(batchId), args: { rows, gate, epoch } }));
  }

  async setGate(batchId: string, gate: RowGate): Promise<void> {
    const reply = await reached(() => gateScript(this.#client, { keys: this.#keys(batchId), args: { gate } }));
    if (reply === null) throw new RowStatesLost(batchId);
  }

  async totals(batchId: string): Promise<RowTotals> {
    const reply = await reached(() => totalsScript(this.#client, { keys: this.#keys(batchId), args: {} }));
    if (reply === null) throw new RowStatesLost(batchId);
    return reply.totals;
  }

  async words(batchId: string, first: number, count: number): Promise<readonly RowWord[]> {
    if (count <= 0) return [];
    const { words: key, totals } = this.#keys(batchId);
    const replies = await reached(async () => {
      const firstByte = first * WORD_BYTES;
      const multi = this.#client.multi().hmget(totals, 'rows', 'epoch').strlen(key);
      return await multi.getrangeBuffer(key, firstByte, firstByte + count * WORD_BYTES - 1).exec();
    });
    const [[rows, epoch], length, words] = (replies ?? []).map((reply) => reply[1]) as [string[], number, Buffer];
    if (!rows || epoch === undefined || length !== Number(rows) * WORD_BYTES) throw new RowStatesLost(batchId);
    const keys = await this.#segmentKeys(batchId, epoch, highestSegment(words));
    return decodeWords(words, (segment) => keys.get(segment) ?? missing(batchId, segment));
  }

  async commit(
    batchId: string,
    ends: readonly RowEnd[],
  ): Promise<{ readonly counted: readonly boolean[]; readonly totals: RowTotals }> {
    const keys = this.#keys(batchId);
    const counted: boolean[] = [];
    let totals: RowTotals | null = null;
    for (let first = 0; first < ends.length || totals === null; first += COMMIT_ENDS) {
      const part = ends.slice(first, first + COMMIT_ENDS);
      const segments = [...new Set(part.map(({ record }) => record.key))];
      const rest = segments.map((key) => shortened(batchId, key));
      const entries = encodeEnds(part, segments);
      const reply = await reached(() => commitScript(this.#client, { keys, args: { entries }, rest }));
      if (reply === null) throw new RowStatesLost(batchId);
      counted.push(...Array.from(reply.first, (mark) => mark === '1'));
      totals = reply.totals;
    }
    return { counted, totals };
  }

  async closePending(batchId: string, state: 'expired' | 'cancelled'): Promise<RowTotals> {
    const keys = this.#keys(batchId);
    for (let place = 0; ; ) {
      const args = { state: ROW_STATES.indexOf(state), name: state, place, limit: CLOSE_ROWS };
      const reply = await reached(() => closeScript(this.#client, { keys, args }));
      if (reply === null) throw new RowStatesLost(batchId);
      place = Number(reply.first);
      if (place < 0) return reply.totals;
    }
  }

  async crashes(batchId: string, place: number, add: boolean): Promise<number> {
    const args = { place, add: add ? 1 : 0 };
    const count = await reached(() => crashesScript(this.#client, { keys: this.#keys(batchId), args }));
    if (count === null) throw new RowStatesLost(batchId);
    return count;
  }

  async drop(batchId: string): Promise<void> {
    this.#segments.delete(batchId);
    await reached(() => this.#client.unlink(...Object.values(this.#keys(batchId))));
  }

  #keys(batchId: string): Keys {
    const root = `${this.#prefix}:{batch/${batchId}}`;
    return {
      words: `${root}:rows`,
      totals: `${root}:row-totals`,
      segments: `${root}:row-segments`,
      crashes: `${root}:row-crashes`,
    };
  }

  async #segmentKeys(batchId: string, epoch: string, highest: number): Promise<ReadonlyMap<number, string>> {
    const known = this.#segments.get(batchId);
    if (highest === 0) return new Map();
    if (known?.epoch === epoch && known.keys.size >= highest) return known.keys;
    const numbers = await reached(() => this.#client.hgetall(this.#keys(batchId).segments));
    const keys = new Map(Object.entries(numbers).map(([key, number]) => [Number(number), whole(batchId, key)]));
    this.#segments.delete(batchId);
    this.#segments.set(batchId, { epoch, keys });
    const [oldest] = this.#segments.keys();
    if (this.#segments.size > KNOWN_BATCHES && oldest !== undefined) this.#segments.delete(oldest);
    return keys;
  }
}

function script<Arg extends string, Reply>(name: string, args: readonly Arg[], parse: (reply: unknown) => Reply) {
  const files = ['rows', name].map((file) => new URL(`lua/${file}.lua`, import.meta.url));
  return defineScript<(typeof KEYS)[number], Arg, Reply | null>({
    files,
    keys: KEYS,
    args,
    parse: (reply) => (reply === null ? null : parse(reply)),
  });
}

interface Tally {
  readonly first: string;
  readonly totals: RowTotals;
}

const openScript = script('open', ['rows', 'gate', 'epoch'], Number);
const gateScript = script('gate', ['gate'], Number);
const totalsScript = script<never, Tally>('totals', [], tallyOf);
const commitScript = script('commit', ['entries'], tallyOf);
const closeScript = script('close', ['state', 'name', 'place', 'limit'], tallyOf);
const crashesScript = script('crashes', ['place', 'add'], Number);

function tallyOf(reply: unknown): Tally {
  const [first = '', gate = 'closed', ...numbers] = (reply as unknown[]).map(String);
  const [pending = 0, completed = 0, failed = 0, expired = 0, cancelled = 0, ...tokens] = numbers.map(Number);
  const [inputTokens = 0, cachedTokens = 0, outputTokens = 0, reasoningTokens = 0] = tokens;
  const usage = { inputTokens, cachedTokens, outputTokens, reasoningTokens };
  return { first, totals: { pending, completed, failed, expired, cancelled, usage, gate: gate as RowGate } };
}

/** Segments of a batch lie in its folder; only what is behind that goes to Redis. */
function shortened(batchId: string, key: string): string {
  const folder = `batches/${batchId}/`;
  return key.startsWith(folder) ? key.slice(folder.length) : `/${key}`;
}

function whole(batchId: string, short: string): string {
  return short.startsWith('/') ? short.slice(1) : `batches/${batchId}/${short}`;
}

function missing(batchId: string, segment: number): never {
  throw new PilotlightError('internal_error', `Redis has no key for segment ${segment} of batch ${batchId}.`);
}

async function reached<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (asError(error).message.startsWith('ROWPLACE')) {
      throw new PilotlightError('internal_error', `A row that is not there was ended: ${asError(error).message}.`);
    }
    const text = 'States of rows cannot be reached: Redis does not answer.';
    throw new PilotlightError('queue_unavailable', text, { cause: error, retryAfterMs: 2_000 });
  }
}
