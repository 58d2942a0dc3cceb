-- The place of a tenant's next item in the order of one queue; core/fair-tag.ts is the specification.
-- KEYS: clock (hash: "v" = virtual time, "b" = where tags begin, "f:<tenant>" = where its last item ended, "n" = how many
-- fields are pruned at, "t" = second of the last turn), what a queue keeps items in, the item itself. ARGV: tenant, units
-- of its item, milliseconds that a clock of which nobody hears is kept. Answers start and base.
local CLOCK = KEYS[1]
local LEAST_PRUNED = 1024
-- An item is in its queue so long after its turn: an accept waits 10 s at most.
local ADDED_S = 15
local now = tonumber(redis.call('TIME')[1])
if redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[4], KEYS[5]) == 0 then
  -- Else those whose place was given and who are not there yet would be forgotten.
  if now - tonumber(redis.call('HGET', CLOCK, 't') or 0) > ADDED_S then redis.call('DEL', CLOCK) end
end
local known = redis.call('HMGET', CLOCK, 'v', 'b', 'f:' .. ARGV[1], 'n')
local virtual, finish = tonumber(known[1] or 0), tonumber(known[3] or 0)
local start = math.max(virtual, finish)
-- One that is there already keeps its place, and was charged for it.
if redis.call('EXISTS', KEYS[6]) == 0 then
  redis.call('HSET', CLOCK, 'f:' .. ARGV[1], string.format('%.3f', start + tonumber(ARGV[2])))
end
redis.call('HSET', CLOCK, 't', now)
redis.call('PEXPIRE', CLOCK, ARGV[3])
-- A tenant that ended before the present starts at the present, known or not.
if redis.call('HLEN', CLOCK) > tonumber(known[4] or LEAST_PRUNED) then
  local fields = redis.call('HGETALL', CLOCK)
  for at = 1, #fields, 2 do
    if string.sub(fields[at], 1, 2) == 'f:' and tonumber(fields[at + 1]) <= virtual then
      redis.call('HDEL', CLOCK, fields[at])
    end
  end
  redis.call('HSET', CLOCK, 'n', math.max(LEAST_PRUNED, 2 * redis.call('HLEN', CLOCK)))
end
return { string.format('%.3f', start), known[2] or '0' }
