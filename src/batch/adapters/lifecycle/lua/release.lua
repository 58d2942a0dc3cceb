-- KEYS lease, past · ARGV "<owner> <token>". 1 = it was given back.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[2], 'held', 0)
return 1
