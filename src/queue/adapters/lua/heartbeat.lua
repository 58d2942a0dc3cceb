-- Proof of life, the safety tick, positions and intake windows.

L.IN_SERVICE = -1
L.NOT_HERE = -2

function L.position_told(id)
  local ticket = L.own_ticket(id)
  if not ticket then return L.NOT_HERE end
  return ticket[STATE] == 'waiting' and L.position_of(ticket) or L.IN_SERVICE
end

function L.windows()
  local slots = L.open_slots() + T.meta.soonSlots
  if slots == 0 or L.is_recovering() or call('SISMEMBER', P .. 'executors', owner) == 0 then return {} end
  local requests = math.max(1, math.ceil(2 * slots / call('SCARD', P .. 'executors')))
  local list = {}
  for _, objective in ipairs(L.objective_names()) do
    if L.has_stored(objective) and not L.is_paused(objective) then
      list[#list + 1] = { objective = objective, requests = requests }
    end
  end
  return list
end

function handlers.poll()
  call('ZADD', P .. 'owners', now_ms, owner)
  T.offerable[owner] = nil
  L.sweep()
  local box = L.mail_of(owner)
  box.offers = {}
  for i, id in ipairs(call('ZRANGE', L.key('offers:', owner), 0, -1)) do
    local ticket = L.load_ticket(id)
    box.offers[i] = { id = id, endpointId = ticket[ENDPOINT_ID], token = ticket[TOKEN] }
  end
  return L.OK
end

function handlers.heartbeat(op)
  call('HDEL', P .. 'missed', owner)
  handlers.poll()
  local positions = {}
  for i, id in ipairs(op.check) do positions[i] = L.position_told(id) end
  return {
    kind = 'beat', tickets = call('SCARD', L.key('owner:', owner)), recovering = L.is_recovering(),
    positions = positions, windows = L.windows(), stoppedMs = L.stopped_ms(),
  }
end
