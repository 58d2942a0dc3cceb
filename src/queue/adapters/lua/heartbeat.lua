-- Proof of life, the safety tick, positions and intake windows.

local IN_SERVICE = -1
local NOT_HERE = -2

local function place_of(id)
  local ticket = own_ticket(id)
  if not ticket then return NOT_HERE end
  return ticket.state == 'waiting' and position_of(ticket) or IN_SERVICE
end

local function windows()
  local slots = open_slots() + meta.soonSlots
  if slots == 0 or is_recovering() or call('SISMEMBER', P .. 'executors', owner) == 0 then return {} end
  local requests = math.max(1, math.ceil(2 * slots / call('SCARD', P .. 'executors')))
  local list = {}
  for _, objective in ipairs(objective_names()) do
    if size_of('ZCARD', 'stored:' .. objective) > 0 then
      list[#list + 1] = { objective = objective, requests = requests }
    end
  end
  return list
end

function handlers.poll()
  sweep()
  local box = mail_of(owner)
  box.offers = {}
  for i, id in ipairs(call('ZRANGE', P .. 'offers:' .. owner, 0, -1)) do
    local ticket = load_ticket(id)
    box.offers[i] = { id = id, endpointId = ticket.endpointId, token = stamp_text(ticket.token) }
  end
  return { kind = 'ok' }
end

function handlers.heartbeat(op)
  call('ZADD', P .. 'owners', now_ms, owner)
  call('HDEL', P .. 'missed', owner)
  offerable[owner] = nil
  handlers.poll()
  local positions = {}
  for i, id in ipairs(op.check) do positions[i] = place_of(id) end
  return {
    kind = 'beat', tickets = call('SCARD', P .. 'owner:' .. owner), recovering = is_recovering(),
    positions = positions, windows = windows(),
  }
end
