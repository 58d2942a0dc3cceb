-- Slots of dead owners: `quarantine` holds '<endpoint>\n<ticket>' by the time of the reap, `clean` the start of the
-- last scrape that saw no stranger on an endpoint with such slots.

function L.quarantine_slot(ticket)
  L.give_slot(ticket)
  ticket[STATE] = 'recording'
  L.touch(ticket)
  L.hold(ticket[ENDPOINT_ID], '!' .. ticket[ID])
  call('ZADD', P .. 'quarantine', now_ms, ticket[ENDPOINT_ID] .. '\n' .. ticket[ID])
end

-- { endpoint id -> { count, ids -> reaped at } }
function L.quarantined()
  local by_endpoint = {}
  local flat = call('ZRANGE', P .. 'quarantine', 0, -1, 'WITHSCORES')
  for i = 1, #flat, 2 do
    local endpoint_id, ticket_id = string.match(flat[i], '^(.-)\n(.*)$')
    local entries = by_endpoint[endpoint_id] or { count = 0, reaped_at = {} }
    entries.count = entries.count + 1
    entries.reaped_at[ticket_id] = tonumber(flat[i + 1])
    by_endpoint[endpoint_id] = entries
  end
  return by_endpoint
end

function L.drop_entries(endpoint_id, entries, is_over)
  for ticket_id, reaped_at_ms in pairs(entries.reaped_at) do
    if is_over(ticket_id, reaped_at_ms) then
      call('ZREM', P .. 'quarantine', endpoint_id .. '\n' .. ticket_id)
      L.unhold(endpoint_id, '!' .. ticket_id)
      entries.count = entries.count - 1
    end
  end
  if entries.count == 0 then call('HDEL', P .. 'clean', endpoint_id) end
end

function L.unquarantine(endpoint_id, ticket_id)
  local entries = L.quarantined()[endpoint_id]
  if entries then L.drop_entries(endpoint_id, entries, function(id) return id == ticket_id end) end
end

function L.expire_quarantine()
  for endpoint_id, entries in pairs(L.quarantined()) do
    L.drop_entries(endpoint_id, entries, function(_, reaped_at_ms)
      return reaped_at_ms + L.timing().quarantineCapMs <= now_ms
    end)
  end
end

function handlers.observe(op)
  local entries = L.quarantined()[op.endpointId]
  if not entries then return L.OK end
  local living_requests = L.size_of('SCARD', L.key('used:', op.endpointId)) - entries.count
  if op.activeRequests > living_requests then
    call('HDEL', P .. 'clean', op.endpointId)
    return L.OK
  end
  local first_clean_ms = tonumber(call('HGET', P .. 'clean', op.endpointId) or nil)
  call('HSET', P .. 'clean', op.endpointId, op.startedAtMs)
  if not first_clean_ms or first_clean_ms >= op.startedAtMs then return L.OK end
  L.drop_entries(op.endpointId, entries, function(_, reaped_at_ms) return reaped_at_ms < first_clean_ms end)
  L.assign()
  return L.OK
end
