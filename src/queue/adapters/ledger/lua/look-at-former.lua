-- Whether anybody lives in the order of a former format.
-- KEYS: its meta, its owners (zset by last heartbeat in ms). ARGV: after how many ms without one an owner is dead.
-- RETURNS: 'none' = there is no such order, 'alive', 'left' = nobody lives there any more.

local call = redis.call
if call('EXISTS', KEYS[1]) == 0 then return 'none' end
local now = call('TIME')
local dead_ms = now[1] * 1000 + math.floor(now[2] / 1000) - ARGV[1]
return call('ZCOUNT', KEYS[2], '(' .. dead_ms, '+inf') > 0 and 'alive' or 'left'
