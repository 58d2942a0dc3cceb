-- KEYS lease, past · ARGV owner, lifetime ms, lifetime of the past ms. {0} = somebody has it; else {token, 1 = the last one was given back}.
if redis.call('EXISTS', KEYS[1]) == 1 then return {0} end
local token = redis.call('HINCRBY', KEYS[2], 'token', 1)
local wasReleased = redis.call('HGET', KEYS[2], 'held') == '1' and 0 or 1
redis.call('HSET', KEYS[2], 'held', 1)
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. token, 'PX', ARGV[2])
return {token, wasReleased}
