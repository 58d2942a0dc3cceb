-- Waiting tickets: `wait:<queue key>` by tag; `queues` names the non-empty ones by -priority; `held:<objective>` and
-- `intake:<objective>` by expiry are count and TTL index at once.

local queues

local function queue_key(ticket)
  local key = ticket.priority .. '|' .. ticket.objective .. '|' .. ticket.classKey
  for _, id in ipairs(ticket.excluded) do key = key .. '\n' .. id end
  return key
end

local function parse_queue(key)
  local priority, objective, rest = string.match(key, '^(%-?%d+)|([^|]*)|(.*)$')
  local parts = {}
  for part in string.gmatch(rest .. '\n', '(.-)\n') do parts[#parts + 1] = part end
  return { key = key, wait = 'wait:' .. key, priority = tonumber(priority), objective = objective,
    classKey = table.remove(parts, 1), excluded = parts }
end

-- The non-empty queues, highest priority first. The list is replaced, never changed.
local function queues_in_order()
  if not queues then
    queues = {}
    for i, key in ipairs(call('ZRANGE', P .. 'queues', 0, -1)) do queues[i] = parse_queue(key) end
  end
  return queues
end

local function waiting_key(ticket)
  return (ticket.kind == 'held' and 'held:' or 'intake:') .. ticket.objective
end

local function add_held(ticket, sign)
  if ticket.kind ~= 'held' then return end
  add_book(ticket.objective, 'heldBytes', sign * ticket.bytes)
  add_book(ticket.objective, 'heldCostTokens', sign * ticket.costTokens)
end

local function enqueue(ticket)
  ticket.state = 'waiting'
  local key = queue_key(ticket)
  zset_add('wait:' .. key, ticket.tag, ticket.id)
  if call('ZADD', P .. 'queues', -ticket.priority, key) == 1 then queues = nil end
  zset_add(waiting_key(ticket), ticket.expiresAtMs == 0 and '+inf' or ticket.expiresAtMs, ticket.id)
  add_held(ticket, 1)
end

local function dequeue(ticket)
  local key = queue_key(ticket)
  zset_remove('wait:' .. key, ticket.id)
  if size_of('ZCARD', 'wait:' .. key) == 0 then
    call('ZREM', P .. 'queues', key)
    queues = nil
  end
  zset_remove(waiting_key(ticket), ticket.id)
  add_held(ticket, -1)
end

local function position_of(ticket)
  local ahead = 0
  for _, queue in ipairs(queues_in_order()) do
    if queue.priority > ticket.priority then
      ahead = ahead + size_of('ZCARD', queue.wait)
    elseif queue.priority == ticket.priority then
      ahead = ahead + call('ZCOUNT', P .. queue.wait, '-inf', '(' .. stamp_text(ticket.tag))
    end
  end
  return ahead
end
