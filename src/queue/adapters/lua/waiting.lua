-- Waiting tickets: `wait:<queue key>` by tag; `queues` names the non-empty ones by -priority; `held:<objective>` and
-- `intake:<objective>` are the arrival index, by tag; `expiries` has those that expire, by when.

function L.queue_key(ticket)
  local excluded = ticket[EXCLUDED]
  local last = T.queue_keys[ticket[OBJECTIVE]]
  local is_same = last and last.priority == ticket[PRIORITY] and last.classKey == ticket[CLASS_KEY]
  if is_same and not excluded then return last.key end
  local key = ticket[PRIORITY] .. '|' .. ticket[OBJECTIVE] .. '|' .. ticket[CLASS_KEY]
  if excluded then return key .. '\n' .. table.concat(excluded, '\n') end
  T.queue_keys[ticket[OBJECTIVE]] = { priority = ticket[PRIORITY], classKey = ticket[CLASS_KEY], key = key }
  return key
end

function L.parse_queue(key)
  local priority, objective, rest = string.match(key, '^(%-?%d+)|([^|]*)|(.*)$')
  local parts = {}
  for part in string.gmatch(rest .. '\n', '(.-)\n') do parts[#parts + 1] = part end
  return { key = key, wait = L.key('wait:', key), priority = tonumber(priority), objective = objective,
    classKey = table.remove(parts, 1), excluded = #parts > 0 and parts }
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
  return L.key(ticket[KIND] == 'held' and 'held:' or 'intake:', ticket[OBJECTIVE])
end

function L.add_held(ticket, sign)
  if ticket[KIND] ~= 'held' then return end
  local book = L.open_book(ticket[OBJECTIVE])
  book.heldBytes = book.heldBytes + sign * ticket[BYTES]
  book.heldCostTokens = book.heldCostTokens + sign * ticket[COST_TOKENS]
end

function L.enqueue(ticket)
  ticket[STATE] = 'waiting'
  local key = L.queue_key(ticket)
  L.resize(1, 'ZADD', L.key('wait:', key), ticket[TAG], ticket[ID])
  if not (T.queues and T.queues.by_key[key]) then
    call('ZADD', P .. 'queues', -ticket[PRIORITY], key)
    T.queues = nil
  end
  L.resize(1, 'ZADD', L.waiting_key(ticket), ticket[TAG], ticket[ID])
  if ticket[EXPIRES_AT_MS] > 0 then call('ZADD', P .. 'expiries', ticket[EXPIRES_AT_MS], ticket[ID]) end
  L.add_held(ticket, 1)
end

function L.dequeue(ticket)
  local key = L.queue_key(ticket)
  local wait_key = L.key('wait:', key)
  L.resize(-1, 'ZREM', wait_key, ticket[ID])
  if L.size_of('ZCARD', wait_key) == 0 then
    call('ZREM', P .. 'queues', key)
    T.queues = nil
  end
  L.resize(-1, 'ZREM', L.waiting_key(ticket), ticket[ID])
  if ticket[EXPIRES_AT_MS] > 0 then call('ZREM', P .. 'expiries', ticket[ID]) end
  L.add_held(ticket, -1)
end

function L.position_of(ticket)
  -- The newest of all has every other before it, and needs no counting.
  local is_newest = ticket[TAG] == T.meta.stamp
  local ahead = is_newest and -1 or 0
  for _, queue in ipairs(L.queues_in_order()) do
    if queue.priority > ticket[PRIORITY] or (is_newest and queue.priority == ticket[PRIORITY]) then
      ahead = ahead + L.size_of('ZCARD', queue.wait)
    elseif queue.priority == ticket[PRIORITY] then
      ahead = ahead + call('ZCOUNT', queue.wait, '-inf', '(' .. L.stamp_text(ticket[TAG]))
    end
  end
  return ahead
end
