-- KEYS claim · ARGV request hash, id, next state (k, j, or - = none), kept ms. Only the claim of this id is changed.
local present = redis.call('GET', KEYS[1])
local theirs = present and string.match(present, '^%a %S+ (%S+) %d+$')
if present and theirs ~= ARGV[2] then return 0 end
if ARGV[3] == '-' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[3] .. ' ' .. ARGV[1] .. ' ' .. ARGV[2] .. ' 0', 'PX', ARGV[4])
return 1
