import { Redis } from 'ioredis';

/** What stood in the ledger at one moment, read in one step. */
export interface SlotSample {
  readonly atEpochMs: number;
  /** Endpoint → slots in use, those of quarantined calls included. */
  readonly used: Readonly<Record<string, number>>;
}

export interface LedgerWatch {
  /** Samples in which something was above the slots, and how many there were in all. */
  readonly above: readonly SlotSample[];
  samples(): number;
  /** Slots of one endpoint that were in use at once, at most. */
  mostUsed(): number;
  /** Whatever of the queue is not empty: key → how many. Of the ledger and of the backlog. */
  leftovers(): Promise<Readonly<Record<string, number>>>;
  stop(): void;
}

const LOOK_EVERY_MS = 100;

/** KEYS is what nobody runs on a real installation; here it makes the look independent of what pools there are. */
const USED = `
local found = {}
for _, key in ipairs(redis.call('KEYS', '*:order:used:*')) do
  found[#found + 1] = key
  found[#found + 1] = redis.call('SCARD', key)
end
return found`;

/** Docs/queue.md has the keys of the ledger; those of the backlog are BullMQ's. */
const QUEUES = [
  ...['tickets', 'queues', 'used:*', 'wait:*', 'held:*', 'intake:*', 'quarantine', 'demand', 'stored:*'],
  ...['reservations', 'deadlines', 'bulk', 'outbox', 'tenants', 'stop-expiries'],
].map((name) => `*:order:${name}`);
const BACKLOG = ['wait', 'active', 'prioritized', 'paused'].map((name) => `*:${name}`);
const LEFT = `
local found = {}
for _, pattern in ipairs(ARGV) do
  for _, key in ipairs(redis.call('KEYS', pattern)) do
    local kind = redis.call('TYPE', key).ok
    local count = 0
    if kind == 'zset' then count = redis.call('ZCARD', key)
    elseif kind == 'set' then count = redis.call('SCARD', key)
    elseif kind == 'hash' then count = redis.call('HLEN', key)
    elseif kind == 'list' then count = redis.call('LLEN', key) end
    if count > 0 then
      found[#found + 1] = key
      found[#found + 1] = count
    end
  end
end
return found`;

/** Looks at the ledger again and again until told to stop; while Redis is away it sees nothing. */
export function watchLedger(portOf: () => number, slots: number): LedgerWatch {
  const above: SlotSample[] = [];
  let samples = 0;
  let mostUsed = 0;
  let isLooking = false;
  const ask = async (script: string, patterns: readonly string[]) => {
    const client = new Redis({
      host: '127.0.0.1',
      port: portOf(),
      commandTimeout: 1_000,
      retryStrategy: null,
      lazyConnect: true,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return pairs((await client.eval(script, 0, ...patterns)) as readonly (string | number)[]);
    } finally {
      client.disconnect();
    }
  };
  const look = async () => {
    const used = await ask(USED, []).catch(() => null);
    if (used === null) return;
    samples += 1;
    mostUsed = Math.max(mostUsed, ...Object.values(used));
    if (Object.values(used).some((count) => count > slots)) above.push({ atEpochMs: Date.now(), used });
  };
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    void look().finally(() => {
      isLooking = false;
    });
  }, LOOK_EVERY_MS);
  return {
    above,
    samples: () => samples,
    mostUsed: () => mostUsed,
    leftovers: () => ask(LEFT, [...QUEUES, ...BACKLOG]),
    stop: () => clearInterval(timer),
  };
}

function pairs(flat: readonly (string | number)[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (let index = 0; index < flat.length; index += 2) found[String(flat[index])] = Number(flat[index + 1]);
  return found;
}
