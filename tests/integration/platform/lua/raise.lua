-- Adds twice `amount` and every number of the list to the counter.
-- KEYS: counter. ARGV: amount, numbers... RETURNS: the counter.
local sum = doubled(ARGV[1])
for i = 2, #ARGV do sum = sum + tonumber(ARGV[i]) end
return redis.call('INCRBY', KEYS[1], sum)
