-- Keeps the learned state unless a leader of a later term is at work. The fence lapses when nobody has saved for a while,
-- so that a Lease that was deleted, and counts from zero again, is no dead end.
-- KEYS: state (string), fence (string: term). ARGV: term, keepFenceMs, state. RETURNS: 1, or 0 when fenced. O(1).
if tonumber(redis.call('GET', KEYS[2]) or '-1') > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
