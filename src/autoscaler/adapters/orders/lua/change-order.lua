-- Changes what ARGV names of one pool's order and leaves the rest; an order of nothing is removed.
-- KEYS: orders (hash: pool -> JSON). ARGV: pool, change (JSON), mostPools, channel.
-- RETURNS: 1, or 0 when so many pools have orders that no other may. O(1).
local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
local order = text and cjson.decode(text) or { wakeReplicas = 0, paused = false }
for field, value in pairs(cjson.decode(ARGV[2])) do order[field] = value end
local function is_set(value) return value ~= nil and value ~= cjson.null end
if is_set(order.wakeUntilEpochMs) or is_set(order.drainUntilEpochMs) or order.paused == true then
  redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(order))
else
  redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('PUBLISH', ARGV[4], ARGV[1])
return 1
