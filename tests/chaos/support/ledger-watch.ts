import { Redis } from 'ioredis';
import type { SlotSample } from './slot-rules.ts';

export interface LedgerWatch {
  readonly samples: readonly SlotSample[];
  /** Slots of one endpoint that were in use at once, at most. */
  mostUsed(): number;
  /** Whatever of the queue is not empty: key → how many. Of the ledger and of the backlog. */
  leftovers(): Promise<Readonly<Record<string, number>>>;
  stop(): void;
}

const LOOK_EVERY_MS = 100;

/**
 * Of the only pool. KEYS is what nobody runs on a real installation; here it makes the look independent of the pool's name.
 */
const USED = `
local meta = redis.call('KEYS', '*:order:meta')[1]
if not meta then return nil end
local prefix = string.sub(meta, 1, -5)
local told = redis.call('HMGET', meta, 'incarnation', 'recoverUntilMs')
local used = {}
for _, key in ipairs(redis.call('KEYS', prefix .. 'used:*')) do
  used[string.sub(key, #prefix + 6)] = redis.call('SMEMBERS', key)
end
return cjson.encode({ incarnation = told[1] or '', recoverUntilMs = told[2] or '0', used = used })`;

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
export function watchLedger(portOf: () => number): LedgerWatch {
  const samples: SlotSample[] = [];
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
      return await client.eval(script, 0, ...patterns);
    } finally {
      client.disconnect();
    }
  };
  const look = async () => {
    const told = (await ask(USED, []).catch(() => null)) as string | null;
    if (told === null) return;
    const { incarnation, recoverUntilMs, used } = JSON.parse(told) as {
      readonly incarnation: string;
      readonly recoverUntilMs: string;
      readonly used: SlotSample['used'];
    };
    samples.push({ atEpochMs: Date.now(), incarnation, isRecovering: Number(recoverUntilMs) > 0, used });
  };
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    void look().finally(() => {
      isLooking = false;
    });
  }, LOOK_EVERY_MS);
  return {
    samples,
    mostUsed: () =>
      samples.reduce((most, { used }) => Math.max(most, ...Object.values(used).map((ids) => ids.length)), 0),
    leftovers: async () => pairs((await ask(LEFT, [...QUEUES, ...BACKLOG])) as readonly (string | number)[]),
    stop: () => clearInterval(timer),
  };
}

function pairs(flat: readonly (string | number)[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (let index = 0; index < flat.length; index += 2) found[String(flat[index])] = Number(flat[index + 1]);
  return found;
}
