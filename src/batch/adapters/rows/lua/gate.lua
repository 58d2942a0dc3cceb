-- ARGV: gate. Closed stays closed.
if not known_rows() then return false end
if redis.call('HGET', TOTALS, 'gate') ~= 'closed' then redis.call('HSET', TOTALS, 'gate', ARGV[1]) end
return 1
