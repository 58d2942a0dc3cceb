-- Tags begin elsewhere from now on; what waits has to be tagged again ("p" until that is done) by one process ("o", until "u").
-- KEYS: clock. ARGV: base, process, seconds that it may be silent, 1 = it is done. Answers 1 when it may go on.
local CLOCK = KEYS[1]
if redis.call('EXISTS', CLOCK) == 0 then return 0 end
local known = redis.call('HMGET', CLOCK, 'b', 'o', 'u')
local now = tonumber(redis.call('TIME')[1])
if known[2] and known[2] ~= ARGV[2] and tonumber(known[3]) > now then return 0 end
if tonumber(known[1] or 0) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', CLOCK, 'b', ARGV[1])
if ARGV[4] == '1' then
  redis.call('HDEL', CLOCK, 'p', 'o', 'u')
else
  redis.call('HSET', CLOCK, 'p', 1, 'o', ARGV[2], 'u', now + tonumber(ARGV[3]))
end
return 1
