-- Lines: `wait:<queue>\n\n<flow>` ids by place. `queues` names those with a flow that may run by -band;
-- `parked:<objective>` = waiting tickets of a paused objective; `aging` those that will age, by when.

L.DAY_US = 86400000000

function L.queue_key(ticket)
  local key = ticket[BAND] .. '|' .. ticket[LANE] .. '|' .. ticket[CLASS_KEY]
  if ticket[EXCLUDED] then return key .. '\n' .. table.concat(ticket[EXCLUDED], '\n') end
  return key
end

-- Of the pools of this server, key of a queue -> what it says; they outlive the turn where functions do.
local queues_parsed, count_of_parsed = {}, 0
L.MAX_PARSED_KEPT = 10000

-- What comes back is shared and never changed.
function L.parse_queue(key)
  local of_pool = queues_parsed[P]
  local queue = of_pool and of_pool[key]
  if queue then return queue end
  if count_of_parsed >= L.MAX_PARSED_KEPT then queues_parsed, count_of_parsed, of_pool = {}, 0, nil end
  if not of_pool then
    of_pool = {}
    queues_parsed[P] = of_pool
  end
  queue = L.read_queue(key)
  of_pool[key] = queue
  count_of_parsed = count_of_parsed + 1
  return queue
end

function L.read_queue(key)
  local band, lane, rest = string.match(key, '^(%-?%d+)|([^|]*)|(.*)$')
  local parts = {}
  for part in string.gmatch(rest .. '\n', '(.-)\n') do parts[#parts + 1] = part end
  return { key = key, index = L.key('index:', key), band = tonumber(band), lane = lane,
    classKey = table.remove(parts, 1), excluded = #parts > 0 and parts }
end

-- The queues with a flow that may run, highest band first. The list is replaced, never changed.
function L.queues_in_order()
  if not T.queues then
    local list = { by_key = {}, lanes = {} }
    for i, key in ipairs(call('ZRANGE', L.key('queues', ''), 0, -1)) do
      local queue = L.parse_queue(key)
      list[i] = queue
      list.by_key[key] = true
      list.lanes[queue.lane] = true
    end
    T.queues = list
  end
  return T.queues
end

function L.place_of(ticket)
  local due_ms = ticket[DEADLINE_MS]
  if ticket[BAND] ~= ticket[PRIORITY] then
    due_ms = due_ms > 0 and math.min(due_ms, ticket[QUEUED_AT_MS]) or ticket[QUEUED_AT_MS]
  end
  return due_ms > 0 and due_ms * 1000 or ticket[TAG] + L.DAY_US
end

function L.place(ticket)
  local objective = ticket[OBJECTIVE]
  if L.is_paused(objective) then
    call('SADD', L.key('parked:', objective), ticket[ID])
    return
  end
  ticket[LANE] = L.lane_of(objective)
  local key, band = L.queue_key(ticket), ticket[BAND]
  -- Which has a line there is known, waits and need not join.
  local is_indexed = call('ZSCORE', L.key('index:', key), ticket[FAIRNESS_ID])
  local time
  if is_indexed then ticket[IS_OVERFLOW] = false else time = L.join_flow(ticket) end
  local flow = L.flow_of(ticket)
  L.resize(1, 'ZADD', L.line_key(key, flow), L.place_of(ticket), ticket[ID])
  local open = L.open_band(band)
  open.waiting = open.waiting + 1
  local is_capped = ticket[MAX_CONCURRENCY] > 0 and L.contains(L.capped_of(flow), key)
  if not is_indexed and not is_capped then L.add_to_index(key, band, flow, time) end
  local aging_ms = L.aging_ms(objective)
  if aging_ms > 0 and band < L.aged_band(band) then
    call('ZADD', L.key('aging', ''), ticket[QUEUED_AT_MS] + aging_ms, ticket[ID])
  end
end

function L.unplace(ticket)
  local flow, key = L.flow_of(ticket), L.queue_key(ticket)
  local line = L.line_key(key, flow)
  local before = L.size_of('ZCARD', line)
  L.resize(-1, 'ZREM', line, ticket[ID])
  local left = L.size_of('ZCARD', line)
  if left == before then
    call('SREM', L.key('parked:', ticket[OBJECTIVE]), ticket[ID])
    return
  end
  local open = L.open_band(ticket[BAND])
  open.waiting = open.waiting - 1
  if L.rules().does_any_age then call('ZREM', L.key('aging', ''), ticket[ID]) end
  if left > 0 then return end
  L.drop_from_index(key, flow)
  local keys = L.capped_of(flow)
  for i, capped in ipairs(keys) do
    if capped == key then
      table.remove(keys, i)
      L.save_capped(flow, keys)
      break
    end
  end
  L.leave_flow(ticket[BAND], flow)
end
