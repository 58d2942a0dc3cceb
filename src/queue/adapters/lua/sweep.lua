-- What time has done: dead owners, lapsed offers, expired tickets, quarantine and reservations; then assign.
-- `owners` by last heartbeat, `missed` owner -> lapsed offers, `executors` the owners that run tickets.

local MAX_REAPED_TICKETS = 1000
local MAX_LAPSED_OFFERS_PER_OWNER = 1000
local MAX_EXPIRED_PER_OBJECTIVE = 256
local MAX_LAPSED_RESERVATIONS = 256

local function forget_owner(name)
  call('ZREM', P .. 'owners', name)
  call('SREM', P .. 'executors', name)
  call('HDEL', P .. 'missed', name)
  call('DEL', P .. 'owner:' .. name, P .. 'offers:' .. name, P .. 'unconfirmed:' .. name)
  offerable[name] = nil
end

local function reap(name, limit)
  local ids = call('SRANDMEMBER', P .. 'owner:' .. name, limit)
  for _, id in ipairs(ids) do
    local ticket = load_ticket(id)
    if ticket then
      if ticket.state == 'running' then quarantine_slot(ticket) end
      end_ticket(ticket)
    end
  end
  if call('SCARD', P .. 'owner:' .. name) == 0 then forget_owner(name) end
  return #ids
end

local function reap_dead_owners()
  local left = MAX_REAPED_TICKETS
  for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'owners', '-inf', now_ms - timing.deadOwnerMs)) do
    if left == 0 then return end
    left = left - reap(name, left)
  end
end

local function lapse_offers()
  for _, name in ipairs(call('ZRANGE', P .. 'owners', 0, -1)) do
    local lapsed = call('ZRANGEBYSCORE', P .. 'offers:' .. name, '-inf', now_ms, 'LIMIT', 0, MAX_LAPSED_OFFERS_PER_OWNER)
    for _, id in ipairs(lapsed) do
      local ticket = load_ticket(id)
      if ticket then unoffer(ticket) end
    end
    if #lapsed > 0 then
      call('HINCRBY', P .. 'missed', name, #lapsed)
      offerable[name] = nil
    end
  end
end

local function expire_tickets()
  for _, objective in ipairs(objective_names()) do
    for _, waiting in ipairs({ 'held:', 'intake:' }) do
      local key = P .. waiting .. objective
      for _, id in ipairs(call('ZRANGEBYSCORE', key, '-inf', now_ms, 'LIMIT', 0, MAX_EXPIRED_PER_OBJECTIVE)) do
        local ticket = load_ticket(id)
        if ticket then evict(ticket, 'expired') end
      end
    end
  end
end

local function sweep()
  if not is_recovering() then
    reap_dead_owners()
    lapse_offers()
  end
  expire_tickets()
  expire_quarantine()
  local lapsed = call('ZRANGEBYSCORE', P .. 'reservations', '-inf', now_ms, 'LIMIT', 0, MAX_LAPSED_RESERVATIONS)
  for _, id in ipairs(lapsed) do remove_demand(id) end
  drop_unused_endpoints()
  assign()
end
