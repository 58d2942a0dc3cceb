-- Begins the events of one execution. Numbers go on from those of the execution before, whose events are dropped.
local events, meta = KEYS[1], KEYS[2]
local writer, keepMs, channel = ARGV[1], ARGV[2], ARGV[3]

local nextIndex = redis.call('HGET', meta, 'next') or '0'
redis.call('DEL', events)
redis.call('HSET', meta, 'writer', writer, 'next', nextIndex, 'base', nextIndex, 'bytes', '0')
redis.call('PEXPIRE', meta, keepMs)
redis.call('PUBLISH', channel, '')
