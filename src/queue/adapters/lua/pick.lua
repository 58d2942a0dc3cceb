-- The ticket that the next slot is owed to.

L.MAX_LOOKS_PER_QUEUE = 32
L.MAX_MISSED_OFFERS = 2

function L.is_offerable(to)
  local known = T.offerable[to]
  if known == nil then
    local beat_ms = tonumber(call('ZSCORE', P .. 'owners', to) or 0)
    known = beat_ms > now_ms - L.timing().deadOwnerMs
      and tonumber(call('HGET', P .. 'missed', to) or 0) < L.MAX_MISSED_OFFERS
    T.offerable[to] = known
  end
  return known
end

function L.is_at_limit(fairness_id, max_concurrency)
  if max_concurrency == 0 then return false end
  return tonumber(call('HGET', L.key('tenants', ''), fairness_id) or 0) >= max_concurrency
end

-- The ticket, or nil; and the looks that are left.
function L.first_of_line(queue, flow, looks)
  local line, index = L.line_key(queue.key, flow), 0
  while looks > 0 do
    local id = call('ZRANGE', line, index, index)[1]
    local ticket = id and L.load_ticket(id)
    if not ticket then return nil, looks end
    local is_expired = L.has_expired(ticket)
    local is_capped = L.is_at_limit(ticket[FAIRNESS_ID], ticket[MAX_CONCURRENCY])
    if is_expired or L.is_paused(ticket[OBJECTIVE]) or (is_capped and ticket[IS_OVERFLOW]) then
      if T.moves_left == 0 then return nil, looks end
      T.moves_left = T.moves_left - 1
      if is_expired then L.evict(ticket, 'expired') else L.replace(ticket) end
    elseif is_capped then
      L.cap_flow(queue.key, flow)
      return nil, looks
    else
      if L.is_offerable(ticket[OWNER]) then return ticket, looks end
      looks = looks - 1
      index = index + 1
    end
  end
  return nil, looks
end

-- The ticket and the virtual time of its flow.
function L.first_of_queue(queue)
  local looks, index, ticket = L.MAX_LOOKS_PER_QUEUE, 0, nil
  while looks > 0 do
    local flow, time = unpack(call('ZRANGE', queue.index, index, index, 'WITHSCORES'))
    if not flow then return nil end
    ticket, looks = L.first_of_line(queue, flow, looks)
    if ticket then return ticket, tonumber(time) end
    if call('ZRANGE', queue.index, index, index)[1] == flow then index = index + 1 end
  end
  return nil
end

-- queues[first..last] are one band.
function L.first_of_band(queues, first, last, lane)
  local best, best_endpoint, best_time
  for i = first, last do
    local queue = queues[i]
    local endpoint_id = (not lane or queue.lane == lane) and L.freest(queue.classKey, queue.excluded)
    if endpoint_id then
      local ticket, time = L.first_of_queue(queue)
      local is_before = ticket and (not best or time < best_time
        or (time == best_time and L.place_of(ticket) < L.place_of(best)))
      if is_before then best, best_endpoint, best_time = ticket, endpoint_id, time end
    end
  end
  return best, best_endpoint
end

-- `lane` nil = all; `free`, the slots that are, of which a band leaves alone those that are reserved above it.
function L.first_of_bands(lane, free)
  local queues = L.queues_in_order()
  local first = 1
  while first <= #queues do
    local last, band = first, queues[first].band
    while queues[last + 1] and queues[last + 1].band == band do last = last + 1 end
    if lane or free > L.reserved_above(band) then
      local ticket, endpoint_id = L.first_of_band(queues, first, last, lane)
      if ticket then return ticket, endpoint_id end
    end
    first = last + 1
  end
  return nil
end

-- The ticket, its endpoint, and whether a share is owed to it.
function L.next_ticket()
  local free = L.total_free()
  if free == 0 then return nil end
  for _, lane in ipairs(L.in_debt()) do
    local ticket, endpoint_id = L.first_of_bands(lane)
    if ticket then return ticket, endpoint_id, true end
  end
  local ticket, endpoint_id = L.first_of_bands(nil, free)
  return ticket, endpoint_id, false
end
