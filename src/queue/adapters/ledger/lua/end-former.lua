-- Takes ends over that the order of a former format has not announced, and removes the rest of it, but for the outcomes,
-- which orders have in common. Its other keys have the prefix and the hash tag of its meta.
-- KEYS: its meta, outbox and outbox-of of the present order. RETURNS: how many ends were taken over.

local call = redis.call
local P = string.sub(KEYS[1], 1, -5)

local MAX_AT_ONCE = 1000
local taken = 0
repeat
  local ends = call('ZRANGE', P .. 'outbox', 0, MAX_AT_ONCE - 1, 'WITHSCORES')
  for i = 1, #ends, 2 do
    call('ZADD', KEYS[2], ends[i + 1], ends[i])
    call('HSET', KEYS[3], ends[i], call('HGET', P .. 'outbox-of', ends[i]) or '')
    call('ZREM', P .. 'outbox', ends[i])
    taken = taken + 1
  end
until #ends == 0

local function drop(kind, names)
  for _, name in ipairs(names) do call('UNLINK', P .. kind .. name) end
end

drop('wait:', call('ZRANGE', P .. 'queues', 0, -1))
drop('used:', call('HKEYS', P .. 'endpoints'))
for _, kind in ipairs({ 'owner:', 'offers:', 'unconfirmed:' }) do drop(kind, call('ZRANGE', P .. 'owners', 0, -1)) end
for _, kind in ipairs({ 'held:', 'intake:', 'book:', 'stored:', 'due:', 'dues:', 'bulk:' }) do
  drop(kind, call('SMEMBERS', P .. 'objectives'))
end
drop('', { 'tickets', 'queues', 'endpoints', 'quarantine', 'clean', 'owners', 'executors', 'missed', 'awaiting',
  'objectives', 'demand', 'reservations', 'deadlines', 'bulk', 'bulk-told', 'outbox', 'outbox-of', 'meta' })
return taken
