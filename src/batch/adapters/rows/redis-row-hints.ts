import type { RedisClient } from '../../../platform/redis/connection.ts';
import type { RowHint, RowHints } from '../../rows/ports.ts';

/** Subscriptions over the process's one subscriber connection. */
export interface HintChannels {
  listen(channel: string, listener: (message: string) => void): () => void;
}

/** Hints as messages "<kind> <batch> [<first place>]" on "<prefix>:row-hints". */
export class RedisRowHints implements RowHints {
  readonly #client: RedisClient;
  readonly #channels: HintChannels;
  readonly #channel: string;

  constructor(client: RedisClient, channels: HintChannels, prefix: string) {
    this.#client = client;
    this.#channels = channels;
    this.#channel = `${prefix}:row-hints`;
  }

  publish(hint: RowHint): void {
    const place = hint.kind === 'abort' ? [] : [hint.firstPlace];
    // A hint that does not arrive costs a poll, nothing else.
    this.#client.publish(this.#channel, [hint.kind, hint.batchId, ...place].join(' ')).catch(() => undefined);
  }

  onHint(listener: (hint: RowHint) => void): () => void {
    return this.#channels.listen(this.#channel, (message) => {
      const [kind, batchId, place] = message.split(' ');
      if (batchId === undefined) return;
      if (kind === 'abort') listener({ kind, batchId });
      else if (kind === 'opened' || kind === 'ended') listener({ kind, batchId, firstPlace: Number(place) });
    });
  }
}
