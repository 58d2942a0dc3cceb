-- KEYS: all, order, orderOfPurpose, docs, totals. ARGV: id, tenant, createdAt, expiresAt (0 = never), bytes, doc.
if redis.call('HEXISTS', KEYS[4], ARGV[1]) == 1 then return 0 end
redis.call('HSET', KEYS[4], ARGV[1], ARGV[6])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4] .. ' ' .. ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
redis.call('HINCRBY', KEYS[5], 'files', 1)
redis.call('HINCRBY', KEYS[5], 'bytes', ARGV[5])
return 1
