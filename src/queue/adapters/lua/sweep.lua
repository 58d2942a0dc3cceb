-- What time has done: dead owners, lapsed offers, expired tickets, quarantine, reservations and bulks; then assign.
-- `owners` by last heartbeat, `missed` owner -> lapsed offers, `executors` the owners that run tickets.

L.MAX_REAPED_TICKETS = 1000
L.MAX_LAPSED_OFFERS_PER_OWNER = 1000
L.MAX_LAPSED_RESERVATIONS = 256

function L.forget_owner(name)
  call('ZREM', P .. 'owners', name)
  call('SREM', P .. 'executors', name)
  call('HDEL', P .. 'missed', name)
  call('DEL', L.key('owner:', name), L.key('offers:', name), L.key('unconfirmed:', name))
  T.offerable[name] = nil
end

function L.reap(name, limit)
  local ids = call('SRANDMEMBER', L.key('owner:', name), limit)
  for _, id in ipairs(ids) do
    local ticket = L.load_ticket(id)
    if ticket then
      if ticket[STATE] == 'running' then L.quarantine_slot(ticket) end
      L.end_ticket(ticket)
    end
  end
  if call('SCARD', L.key('owner:', name)) == 0 then L.forget_owner(name) end
  return #ids
end

function L.reap_dead_owners()
  for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'owners', '(' .. now_ms, '+inf')) do
    call('ZADD', P .. 'owners', now_ms, name)
  end
  local left = L.MAX_REAPED_TICKETS
  for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'owners', '-inf', now_ms - L.timing().deadOwnerMs)) do
    if left == 0 then return end
    left = left - L.reap(name, left)
  end
end

function L.lapse_offers()
  for _, name in ipairs(call('ZRANGE', P .. 'owners', 0, -1)) do
    local offers_key = L.key('offers:', name)
    local lapsed = call('ZRANGEBYSCORE', offers_key, '-inf', now_ms, 'LIMIT', 0, L.MAX_LAPSED_OFFERS_PER_OWNER)
    for _, id in ipairs(lapsed) do
      local ticket = L.load_ticket(id)
      if ticket then L.unoffer(ticket) end
    end
    if #lapsed > 0 then
      call('HINCRBY', P .. 'missed', name, #lapsed)
      T.offerable[name] = nil
    end
  end
end

function L.sweep()
  if not L.is_recovering() then
    L.reap_dead_owners()
    L.lapse_offers()
  end
  L.expire_tickets()
  L.expire_quarantine()
  local lapsed = call('ZRANGEBYSCORE', P .. 'reservations', '-inf', now_ms, 'LIMIT', 0, L.MAX_LAPSED_RESERVATIONS)
  for _, id in ipairs(lapsed) do L.remove_demand(id) end
  L.lapse_bulks()
  for number in pairs(L.band_list()) do L.prune_idle_flows(number) end
  L.drop_unused_endpoints()
  L.assign()
end
