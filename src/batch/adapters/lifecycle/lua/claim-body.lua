-- KEYS claim · ARGV new id, 1 = a retry, lifetime ms. The id that this call is about. A value is "<who came first> <id>".
local present = redis.call('GET', KEYS[1])
local by, id
if present then by, id = string.match(present, '^(%a) (.+)$') end
if ARGV[2] == '1' then
  if id then return id end
  redis.call('SET', KEYS[1], 'r ' .. ARGV[1], 'PX', ARGV[3])
  return ARGV[1]
end
-- A first call that its own retry has overtaken means the retry's batch.
local mine = by == 'r' and id or ARGV[1]
redis.call('SET', KEYS[1], 'f ' .. mine, 'PX', ARGV[3])
return mine
