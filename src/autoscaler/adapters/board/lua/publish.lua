-- Puts one pool's view on the board unless a newer leader did. The stamp is Redis TIME, so that readers need no common
-- clock with the controller. The record outlives its freshness: a reader that starts late still learns who fell silent.
-- KEYS: record (hash: term, atMs, view, decisions).
-- ARGV: term, keepMs, channel, message, view, decisions ('' = as they are).
-- RETURNS: 1, or 0 when the record is of a later term (nothing was changed). O(1).
local known = tonumber(redis.call('HGET', KEYS[1], 'term') or '-1')
if known > tonumber(ARGV[1]) then return 0 end
local time = redis.call('TIME')
local at_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', KEYS[1], 'term', ARGV[1], 'atMs', at_ms, 'view', ARGV[5])
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'decisions', ARGV[6]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
