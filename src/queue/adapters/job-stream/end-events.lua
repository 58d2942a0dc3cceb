-- Nothing follows from this writer: what is there is kept for some minutes more.
local events, meta = KEYS[1], KEYS[2]
local writer, keepMs = ARGV[1], ARGV[2]

if redis.call('HGET', meta, 'writer') ~= writer then return end
redis.call('PEXPIRE', events, keepMs)
redis.call('PEXPIRE', meta, keepMs)
