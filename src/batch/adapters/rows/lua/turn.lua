-- Whose chunk is next in one queue of chunks. KEYS: clock (hash: "v" = virtual time, "f:<tenant>" = where its last chunk
-- ended), order (sorted set of the tenant's batches by deadline), asked (hash: batch → when it last asked).
-- ARGV: batch, deadline, units of its chunk, tenant, milliseconds that an asking counts, and that an idle queue is kept,
-- 1 = only keeps the batch's place in the order.
local CLOCK, ORDER, ASKED = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', ORDER, ARGV[2], ARGV[1])
redis.call('HSET', ASKED, ARGV[1], now)
for _, key in ipairs({ CLOCK, ORDER, ASKED }) do redis.call('PEXPIRE', key, ARGV[6]) end
if ARGV[7] == '1' then return false end
while true do
  local first = redis.call('ZRANGE', ORDER, 0, 0)[1]
  if first == ARGV[1] then break end
  local asked = tonumber(redis.call('HGET', ASKED, first) or 0)
  if asked >= now - tonumber(ARGV[5]) then return false end
  redis.call('ZREM', ORDER, first)
  redis.call('HDEL', ASKED, first)
end
local virtual = tonumber(redis.call('HGET', CLOCK, 'v') or 0)
local finish = tonumber(redis.call('HGET', CLOCK, 'f:' .. ARGV[4]) or 0)
local start = math.max(virtual, finish)
redis.call('HSET', CLOCK, 'f:' .. ARGV[4], string.format('%.6f', start + tonumber(ARGV[3])))
redis.call('PEXPIRE', CLOCK, ARGV[6])
return string.format('%.6f', start)
