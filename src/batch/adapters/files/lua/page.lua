-- A page of documents, one more than asked for when there are more. False when `after` was never heard of.
-- KEYS: order, orderToRead, docs, gone. ARGV: after ('' = from the start), count, 'asc' or 'desc'.
local after, count, descending = ARGV[1], tonumber(ARGV[2]), ARGV[3] == 'desc'
local ids = {}
local from = descending and '+inf' or '-inf'
if after ~= '' then
  local score = redis.call('ZSCORE', KEYS[1], after) or redis.call('GET', KEYS[4])
  if not score then return false end
  -- Files of the same millisecond are in order of their ids.
  local equal = redis.call('ZRANGEBYSCORE', KEYS[2], score, score)
  local first, last, step = 1, #equal, 1
  if descending then first, last, step = #equal, 1, -1 end
  for place = first, last, step do
    local id = equal[place]
    local isBehind = descending and id < after or not descending and id > after
    if isBehind and #ids < count then ids[#ids + 1] = id end
  end
  from = '(' .. score
end
if #ids < count then
  local rest
  if descending then
    rest = redis.call('ZREVRANGEBYSCORE', KEYS[2], from, '-inf', 'LIMIT', 0, count - #ids)
  else
    rest = redis.call('ZRANGEBYSCORE', KEYS[2], from, '+inf', 'LIMIT', 0, count - #ids)
  end
  for _, id in ipairs(rest) do ids[#ids + 1] = id end
end
if #ids == 0 then return {} end
return redis.call('HMGET', KEYS[3], unpack(ids))
