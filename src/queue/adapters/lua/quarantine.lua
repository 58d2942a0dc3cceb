-- Slots of dead owners: `quarantine` holds '<endpoint>\n<owner>\n<ticket>' by the time of the reap, `scrapes` the start and
-- the requests of the last scrape of an endpoint with such slots, `inherited` the members in use when the incarnation began. An entry is '<owner>\n<ticket>'.

L.ON_ITS_WAY_MS = 250

function L.add_entry(endpoint_id, entry)
  L.hold(endpoint_id, '!' .. entry)
  call('ZADD', P .. 'quarantine', now_ms, endpoint_id .. '\n' .. entry)
end

function L.quarantine_slot(ticket)
  L.give_slot(ticket)
  ticket[STATE] = 'recording'
  L.touch(ticket)
  L.add_entry(ticket[ENDPOINT_ID], ticket[OWNER] .. '\n' .. ticket[ID])
end

-- { endpoint id -> { count, entries -> reaped at, their order } }
function L.quarantined()
  local by_endpoint = {}
  local flat = call('ZRANGE', P .. 'quarantine', 0, -1, 'WITHSCORES')
  for i = 1, #flat, 2 do
    local endpoint_id, entry = string.match(flat[i], '^(.-)\n(.*)$')
    local entries = by_endpoint[endpoint_id] or { count = 0, reaped_at = {}, by_age = {} }
    entries.count = entries.count + 1
    entries.by_age[entries.count] = entry
    entries.reaped_at[entry] = tonumber(flat[i + 1])
    by_endpoint[endpoint_id] = entries
  end
  return by_endpoint
end

function L.drop_entries(endpoint_id, entries, is_over)
  for entry, reaped_at_ms in pairs(entries.reaped_at) do
    if is_over(entry, reaped_at_ms) then
      call('ZREM', P .. 'quarantine', endpoint_id .. '\n' .. entry)
      L.unhold(endpoint_id, '!' .. entry)
      entries.count = entries.count - 1
    end
  end
  if entries.count == 0 then call('HDEL', P .. 'scrapes', endpoint_id) end
end

function L.unquarantine(endpoint_id, name, ticket_id)
  local entries = L.quarantined()[endpoint_id]
  local own = name .. '\n' .. ticket_id
  if entries then L.drop_entries(endpoint_id, entries, function(entry) return entry == own end) end
end

function L.quarantine_all()
  call('DEL', P .. 'inherited')
  for _, endpoint in ipairs(L.endpoint_list()) do
    for _, id in ipairs(call('SMEMBERS', endpoint.used_key)) do
      if string.sub(id, 1, 1) ~= '!' then
        local ticket = L.load_ticket(id)
        L.unhold(endpoint.id, id)
        if ticket then
          L.add_entry(endpoint.id, ticket[OWNER] .. '\n' .. id)
          call('SADD', P .. 'inherited', endpoint.id .. '\n' .. ticket[OWNER] .. '\n' .. id)
        end
      end
    end
  end
  for _, member in ipairs(call('ZRANGE', P .. 'quarantine', 0, -1)) do call('ZADD', P .. 'quarantine', now_ms, member) end
  call('DEL', P .. 'scrapes')
end

function L.unquarantine_rest(name)
  local own = name .. '\n'
  for endpoint_id, entries in pairs(L.quarantined()) do
    L.drop_entries(endpoint_id, entries, function(entry)
      if string.sub(entry, 1, #own) ~= own then return false end
      return call('SISMEMBER', P .. 'inherited', endpoint_id .. '\n' .. entry) == 1
    end)
  end
end

function L.expire_quarantine()
  for endpoint_id, entries in pairs(L.quarantined()) do
    L.drop_entries(endpoint_id, entries, function(_, reaped_at_ms)
      return reaped_at_ms + L.timing().quarantineCapMs <= now_ms
    end)
  end
end

-- Requests of living owners that the engine had when the scrape began.
function L.proven_requests(endpoint_id, started_at_ms)
  local proven = 0
  for _, id in ipairs(call('SMEMBERS', L.key('used:', endpoint_id))) do
    local ticket = string.sub(id, 1, 1) ~= '!' and L.load_ticket(id)
    if ticket and ticket[STATE] == 'running' and ticket[SINCE_MS] + L.timing().deadOwnerMs <= started_at_ms then
      local heard_ms = tonumber(call('ZSCORE', P .. 'owners', ticket[OWNER]) or 0)
      if heard_ms > started_at_ms + L.ON_ITS_WAY_MS then proven = proven + 1 end
    end
  end
  return proven
end

function handlers.observe(op)
  local entries = L.quarantined()[op.endpointId]
  if not entries or L.is_recovering() then return L.OK end
  local before_ms, before_requests = string.match(call('HGET', P .. 'scrapes', op.endpointId) or '', '^(%d+) (%d+)$')
  before_ms = tonumber(before_ms)
  if before_ms and before_ms >= op.startedAtMs then return L.OK end
  local scrape = L.stamp_text(op.startedAtMs) .. ' ' .. L.stamp_text(op.activeRequests)
  call('HSET', P .. 'scrapes', op.endpointId, scrape)
  if not before_ms then return L.OK end
  local requests = math.max(tonumber(before_requests), op.activeRequests)
  local strangers = math.max(0, requests - L.proven_requests(op.endpointId, before_ms))
  local old = {}
  for _, entry in ipairs(entries.by_age) do
    if entries.reaped_at[entry] < before_ms then old[#old + 1] = entry end
  end
  local free, is_any = {}, false
  for i = 1, #old - strangers do free[old[i]], is_any = true, true end
  if not is_any then return L.OK end
  L.drop_entries(op.endpointId, entries, function(entry) return free[entry] end)
  L.assign()
  return L.OK
end
