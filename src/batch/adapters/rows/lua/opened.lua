-- KEYS: clock. ARGV: virtual time of the chunk that was opened, milliseconds that an idle queue is kept.
local virtual = tonumber(redis.call('HGET', KEYS[1], 'v') or 0)
if tonumber(ARGV[1]) > virtual then redis.call('HSET', KEYS[1], 'v', ARGV[1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
