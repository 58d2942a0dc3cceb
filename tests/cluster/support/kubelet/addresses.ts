import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';

/** Who listens on it at the block's first address owns the block: a process that dies gives it back. */
const CLAIM_PORT = 19_999;
const BLOCKS = 256;
const FIRST = 2;
const LAST = 254;

/**
 * 253 loopback addresses 127.1.BLOCK.2 … 254 that no other process of this machine uses for pods. Linux routes all of
 * 127.0.0.0/8 to loopback without any setup; macOS does not.
 */
export class AddressBlock {
  /** 127.1.BLOCK.1: the node's. */
  readonly hostAddress: string;
  readonly #prefix: string;
  readonly #claim: Server;
  readonly #taken = new Set<string>();
  #last = FIRST - 1;

  constructor(prefix: string, claim: Server) {
    this.#prefix = prefix;
    this.hostAddress = `${prefix}.1`;
    this.#claim = claim;
  }

  /** The address that was free for longest. Throws when all are taken. */
  take(): string {
    for (let tried = FIRST; tried <= LAST; tried += 1) {
      this.#last = this.#last >= LAST ? FIRST : this.#last + 1;
      const address = `${this.#prefix}.${this.#last}`;
      if (this.#taken.has(address)) continue;
      this.#taken.add(address);
      return address;
    }
    throw new Error(
      `all ${this.#taken.size} pod addresses of one kubelet stand-in are taken; thousands of pods are for KWOK`,
    );
  }

  give(address: string): void {
    this.#taken.delete(address);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#claim.close(() => resolve());
    });
  }
}

/** Throws when this machine has no such addresses or 256 processes have a block. */
export async function claimAddresses(): Promise<AddressBlock> {
  const first = randomInt(BLOCKS);
  let problem = '';
  for (let tried = 0; tried < BLOCKS; tried += 1) {
    const prefix = `127.1.${(first + tried) % BLOCKS}`;
    const claim = createServer();
    claim.unref();
    const error = await new Promise<Error | null>((resolve) => {
      claim.once('error', resolve);
      claim.listen({ host: `${prefix}.1`, port: CLAIM_PORT, exclusive: true }, () => resolve(null));
    });
    if (error === null) return new AddressBlock(prefix, claim);
    problem = error.message;
  }
  throw new Error(`no block of loopback addresses 127.1.x.y for pods: ${problem}`);
}
