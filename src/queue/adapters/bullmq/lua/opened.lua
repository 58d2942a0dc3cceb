-- An item was taken. KEYS: clock. ARGV: where it starts, tags of a generation, milliseconds that the clock is kept.
-- Answers where tags should begin, or -1 when nothing has to be done.
local CLOCK = KEYS[1]
if redis.call('EXISTS', CLOCK) == 0 then return '-1' end
local known = redis.call('HMGET', CLOCK, 'v', 'b', 'p', 'u')
local virtual = math.max(tonumber(known[1] or 0), tonumber(ARGV[1]))
local base = tonumber(known[2] or 0)
redis.call('HSET', CLOCK, 'v', string.format('%.3f', virtual))
redis.call('PEXPIRE', CLOCK, ARGV[3])
local behind = math.floor((virtual - base) / tonumber(ARGV[2]))
if behind < 1 and not known[3] then return '-1' end
local time = redis.call('TIME')
if tonumber(known[4] or 0) > tonumber(time[1]) then return '-1' end
return string.format('%.0f', base + behind * tonumber(ARGV[2]))
