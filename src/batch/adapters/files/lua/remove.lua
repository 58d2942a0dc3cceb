-- KEYS: all, order, docs, totals, gone. ARGV: id, goneForMs, orderOfPurpose without the purpose.
redis.call('HDEL', KEYS[1], ARGV[1])
local text = redis.call('HGET', KEYS[3], ARGV[1])
if not text then return 0 end
local doc = cjson.decode(text)
redis.call('SET', KEYS[5], redis.call('ZSCORE', KEYS[2], ARGV[1]), 'PX', ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', ARGV[3] .. doc.purpose, ARGV[1])
redis.call('HINCRBY', KEYS[4], 'files', -1)
redis.call('HINCRBY', KEYS[4], 'bytes', -doc.bytes)
return 1
