-- Appends events (type and data, one after the other) for the writer that began last, and drops the oldest beyond the limits.
local events, meta = KEYS[1], KEYS[2]
local writer, keepMs, maxEvents, maxBytes, channel = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local FIRST_ARG = 6

if redis.call('HGET', meta, 'writer') ~= writer then return 0 end

local nextIndex = tonumber(redis.call('HGET', meta, 'next'))
local bytes = tonumber(redis.call('HGET', meta, 'bytes'))
for arg = FIRST_ARG, #ARGV, 2 do
  nextIndex = nextIndex + 1
  -- The id of event n is n + 1, because a stream has no id 0.
  redis.call('XADD', events, string.format('%d-0', nextIndex), 't', ARGV[arg], 'd', ARGV[arg + 1])
  bytes = bytes + #ARGV[arg + 1]
end

local excess = redis.call('XLEN', events) - maxEvents
while excess > 0 or bytes > maxBytes do
  local oldest = redis.call('XRANGE', events, '-', '+', 'COUNT', 1)[1]
  if not oldest then break end
  bytes = bytes - #oldest[2][4]
  excess = excess - 1
  redis.call('XDEL', events, oldest[1])
end

redis.call('HSET', meta, 'next', string.format('%d', nextIndex), 'bytes', string.format('%d', bytes))
redis.call('PEXPIRE', events, keepMs)
redis.call('PEXPIRE', meta, keepMs)
redis.call('PUBLISH', channel, '')
return 1
