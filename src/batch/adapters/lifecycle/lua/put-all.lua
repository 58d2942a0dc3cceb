-- KEYS known, live, ended · ARGV id, generation, creation ms, 1 = needs a keeper, removal ms (-1 = none), tenant.
local present = redis.call('HGET', KEYS[1], ARGV[1])
if present and tonumber(string.match(present, '^%d+')) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[6])
if ARGV[4] == '1' then redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1]) else redis.call('ZREM', KEYS[2], ARGV[1]) end
if tonumber(ARGV[5]) >= 0 then redis.call('ZADD', KEYS[3], ARGV[5], ARGV[1]) else redis.call('ZREM', KEYS[3], ARGV[1]) end
return 1
