-- Waiting tickets: `wait:<queue key>` by tag; `queues` names the non-empty ones by -priority; `held:<objective>` and
-- `intake:<objective>` by expiry are count and TTL index at once.

function L.queue_key(ticket)
  local key = ticket.priority .. '|' .. ticket.objective .. '|' .. ticket.classKey
  for _, id in ipairs(ticket.excluded) do key = key .. '\n' .. id end
  return key
end

function L.parse_queue(key)
  local priority, objective, rest = string.match(key, '^(%-?%d+)|([^|]*)|(.*)$')
  local parts = {}
  for part in string.gmatch(rest .. '\n', '(.-)\n') do parts[#parts + 1] = part end
  return { key = key, wait = 'wait:' .. key, priority = tonumber(priority), objective = objective,
    classKey = table.remove(parts, 1), excluded = parts }
end

-- The non-empty queues, highest priority first. The list is replaced, never changed.
function L.queues_in_order()
  if not T.queues then
    local list = { by_key = {} }
    for i, key in ipairs(call('ZRANGE', P .. 'queues', 0, -1)) do
      list[i] = L.parse_queue(key)
      list.by_key[key] = true
    end
    T.queues = list
  end
  return T.queues
end

function L.waiting_key(ticket)
  return (ticket.kind == 'held' and 'held:' or 'intake:') .. ticket.objective
end

function L.add_held(ticket, sign)
  if ticket.kind ~= 'held' then return end
  L.add_book(ticket.objective, 'heldBytes', sign * ticket.bytes)
  L.add_book(ticket.objective, 'heldCostTokens', sign * ticket.costTokens)
end

function L.enqueue(ticket)
  ticket.state = 'waiting'
  local key = L.queue_key(ticket)
  L.zset_add('wait:' .. key, ticket.tag, ticket.id)
  if not (T.queues and T.queues.by_key[key]) then
    call('ZADD', P .. 'queues', -ticket.priority, key)
    T.queues = nil
  end
  L.zset_add(L.waiting_key(ticket), ticket.expiresAtMs == 0 and '+inf' or ticket.expiresAtMs, ticket.id)
  L.add_held(ticket, 1)
end

function L.dequeue(ticket)
  local key = L.queue_key(ticket)
  L.zset_remove('wait:' .. key, ticket.id)
  if L.size_of('ZCARD', 'wait:' .. key) == 0 then
    call('ZREM', P .. 'queues', key)
    T.queues = nil
  end
  L.zset_remove(L.waiting_key(ticket), ticket.id)
  L.add_held(ticket, -1)
end

function L.position_of(ticket)
  local ahead = 0
  for _, queue in ipairs(L.queues_in_order()) do
    if queue.priority > ticket.priority then
      ahead = ahead + L.size_of('ZCARD', queue.wait)
    elseif queue.priority == ticket.priority then
      ahead = ahead + call('ZCOUNT', P .. queue.wait, '-inf', '(' .. L.stamp_text(ticket.tag))
    end
  end
  return ahead
end
