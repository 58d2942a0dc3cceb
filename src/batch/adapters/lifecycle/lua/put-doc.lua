-- KEYS doc · ARGV generation, JSON, lifetime in ms (0 = none). Keeps the newest generation: 1 = kept this one.
local present = redis.call('GET', KEYS[1])
if present and tonumber(string.match(present, '^%d+')) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2])
if tonumber(ARGV[3]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
