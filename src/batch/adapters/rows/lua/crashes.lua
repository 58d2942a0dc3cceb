-- ARGV: place, how many to add.
if not known_rows() then return false end
if ARGV[2] == '0' then return tonumber(redis.call('HGET', CRASHES, ARGV[1]) or 0) end
return redis.call('HINCRBY', CRASHES, ARGV[1], ARGV[2])
