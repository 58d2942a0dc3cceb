-- Begins the events of one execution. Numbers go on from those of the execution before, whose events are dropped.
local events, meta = KEYS[1], KEYS[2]
local writer, keepMs, channel = ARGV[1], ARGV[2], ARGV[3]

local nextIndex = tonumber(redis.call('HGET', meta, 'next') or '0')
-- A number is left out, so that also a reader who has all of the execution before learns that it broke off.
if nextIndex > tonumber(redis.call('HGET', meta, 'base') or '0') then nextIndex = nextIndex + 1 end
local first = string.format('%d', nextIndex)
redis.call('DEL', events)
redis.call('HSET', meta, 'writer', writer, 'next', first, 'base', first, 'bytes', '0')
redis.call('PEXPIRE', meta, keepMs)
redis.call('PUBLISH', channel, '')
