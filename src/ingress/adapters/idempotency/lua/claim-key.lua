-- KEYS claim · ARGV request hash, new id, kind (j = job, c = call), lease ms, kept ms.
-- A value is "<k = accepted, j, c> <request hash> <id> <leased until, epoch ms>". Returns {what, id, 1 = an earlier try's}.
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
local present = redis.call('GET', KEYS[1])
local id = ARGV[2]
local repeated = 0
if present then
  local state, hash, theirs, untilMs = string.match(present, '^(%a) (%S+) (%S+) (%d+)$')
  if hash ~= ARGV[1] then return { 'conflict', '', 0 } end
  if state == 'k' then return { 'accepted', theirs, 0 } end
  if tonumber(untilMs) > nowMs then return { 'busy', '', 0 } end
  -- What broke off before its end was told may have been accepted: it goes on under its own id.
  if state == 'j' then id = theirs; repeated = 1 end
end
local untilMs = string.format('%.0f', nowMs + tonumber(ARGV[4]))
redis.call('SET', KEYS[1], ARGV[3] .. ' ' .. ARGV[1] .. ' ' .. id .. ' ' .. untilMs, 'PX', ARGV[5])
return { 'mine', id, repeated }
