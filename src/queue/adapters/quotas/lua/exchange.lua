-- What all replicas have leased of one tenant's quotas; policy/quotas/exchange.ts is the specification.
-- KEYS: requests, tokens: hashes from the second (since the epoch) to units leased in it.
-- ARGV: for requests, then tokens: limit (-1 = none), need, more, ahead; then the debt of tokens; then for each return: its
-- second, requests, tokens. Answers second, requests, tokens granted (-1 = refused), 1 or 2 = which limit refused,
-- milliseconds to wait, and for each quota what is in use and milliseconds until nothing is.
local SLOTS, SLOT_MS, TTL_MS = 61, 1000, 62000
local time = redis.call('TIME')
local slot = tonumber(time[1])
local now = slot * 1000 + math.floor(tonumber(time[2]) / 1000)

local function read(key)
  local window, fields = {}, redis.call('HGETALL', key)
  for at = 1, #fields, 2 do
    local field = tonumber(fields[at])
    if field <= slot - SLOTS or field >= slot + SLOTS then
      redis.call('HDEL', key, fields[at])
    else
      window[field] = tonumber(fields[at + 1])
    end
  end
  return window
end

local function in_use(window)
  local units = 0
  for _, leased in pairs(window) do units = units + leased end
  return units
end

local function give_back(key, window, second, units)
  if units <= 0 or not window[second] then return end
  local left = window[second] - units
  if left > 0 then
    window[second] = left
    redis.call('HSET', key, second, string.format('%.0f', left))
  else
    window[second] = nil
    redis.call('HDEL', key, second)
  end
end

local function lease(key, window, units)
  if units <= 0 then return end
  window[slot] = (window[slot] or 0) + units
  redis.call('HSET', key, slot, string.format('%.0f', window[slot]))
  redis.call('PEXPIRE', key, TTL_MS)
end

-- Units granted, or nil and how long to wait.
local function answer(window, first)
  local limit, need, more, ahead =
    tonumber(ARGV[first]), tonumber(ARGV[first + 1]), tonumber(ARGV[first + 2]), tonumber(ARGV[first + 3])
  if limit < 0 or need + more + ahead == 0 then return 0 end
  local used = in_use(window)
  local left = limit - used
  if need <= left then
    local units = need + math.min(more, left - need)
    return units + math.min(ahead, math.floor((left - units) / 4))
  end
  if used <= 0 then return need end
  local seconds = {}
  for second in pairs(window) do seconds[#seconds + 1] = second end
  table.sort(seconds)
  for _, second in ipairs(seconds) do
    used = used - window[second]
    if need <= limit - used or used <= 0 then return nil, math.max(1, (second + SLOTS) * SLOT_MS - now) end
  end
  return nil, 1
end

local function reset_ms(window)
  local newest = nil
  for second in pairs(window) do
    if not newest or second > newest then newest = second end
  end
  return newest and (newest + SLOTS) * SLOT_MS - now or 0
end

local REQUESTS, TOKENS = KEYS[1], KEYS[2]
local requests, tokens = read(REQUESTS), read(TOKENS)
for at = 10, #ARGV, 3 do
  local second = tonumber(ARGV[at])
  give_back(REQUESTS, requests, second, tonumber(ARGV[at + 1]))
  give_back(TOKENS, tokens, second, tonumber(ARGV[at + 2]))
end
local token_limit = tonumber(ARGV[5])
if token_limit >= 0 then
  lease(TOKENS, tokens, math.min(tonumber(ARGV[9]), math.max(0, 2 * token_limit - in_use(tokens))))
end
local of_requests, wait_requests = answer(requests, 1)
local of_tokens, wait_tokens = answer(tokens, 5)
local refused, wait = 0, 0
if of_requests and of_tokens then
  lease(REQUESTS, requests, of_requests)
  lease(TOKENS, tokens, of_tokens)
else
  of_requests, of_tokens = -1, -1
  wait_requests, wait_tokens = wait_requests or 0, wait_tokens or 0
  refused = wait_tokens > wait_requests and 2 or 1
  wait = math.max(wait_requests, wait_tokens)
end
return { slot, of_requests, of_tokens, refused, wait, in_use(requests), reset_ms(requests), in_use(tokens), reset_ms(tokens) }
