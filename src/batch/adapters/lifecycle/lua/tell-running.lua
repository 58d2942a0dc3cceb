-- KEYS running · ARGV owner, rows, lifetime of all ms.
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. time[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
