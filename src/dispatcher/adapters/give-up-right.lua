-- Frees a right if it is still the owner's.
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] or holder == 'old ' .. ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
