-- KEYS claim · ARGV request hash, id, lease ms. Made again if it was lost; 0 = somebody else's by now.
local now = redis.call('TIME')
local present = redis.call('GET', KEYS[1])
local theirs = present and string.match(present, '^%a %S+ (%S+) %d+$')
if present and theirs ~= ARGV[2] then return 0 end
local untilMs = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(ARGV[3]))
redis.call('SET', KEYS[1], 'c ' .. ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. untilMs, 'PX', ARGV[3])
return 1
