-- KEYS list, status, open · ARGV id, generation, creation ms, status, unfinished rows (-1 = it has ended).
local present = redis.call('HGET', KEYS[2], ARGV[1])
if present and tonumber(string.match(present, '^%d+')) > tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. ARGV[4])
if tonumber(ARGV[5]) < 0 then redis.call('HDEL', KEYS[3], ARGV[1]) else redis.call('HSET', KEYS[3], ARGV[1], ARGV[5]) end
return 1
