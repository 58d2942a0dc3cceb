-- Endpoints, gates and the slots that will come.

local function set_endpoints(list)
  endpoints = list
  are_endpoints_dirty = true
end

local function move_gate(endpoint, gate)
  endpoint.gate = gate
  are_endpoints_dirty = true
  if gate == 'open' then return end
  for _, id in ipairs(call('SMEMBERS', P .. 'used:' .. endpoint.id)) do
    local ticket = load_ticket(id)
    if ticket and ticket.state == 'offered' then unoffer(ticket) end
  end
end

local function unlisted_endpoint(id)
  return { id = id, slots = 0, adapters = false, gate = 'closed', is_listed = false }
end

local function drop_unused_endpoints()
  local kept = {}
  for _, endpoint in ipairs(endpoint_list()) do
    if endpoint.is_listed or used_slots(endpoint.id) > 0 then kept[#kept + 1] = endpoint end
  end
  if #kept < #endpoint_list() then set_endpoints(kept) end
end

function handlers.setEndpoints(op)
  local known = {}
  for _, endpoint in ipairs(endpoint_list()) do known[endpoint.id] = endpoint end
  local list = {}
  for i, e in ipairs(op.endpoints) do
    local before = known[e.id]
    known[e.id] = nil
    local gate = before and before.is_listed and before.gate or 'open'
    list[i] = { id = e.id, slots = e.slots, adapters = e.adapters or false, gate = gate, is_listed = true }
  end
  for _, endpoint in ipairs(endpoint_list()) do
    if known[endpoint.id] then
      move_gate(endpoint, 'closed')
      endpoint.slots = 0
      endpoint.is_listed = false
      if used_slots(endpoint.id) > 0 then list[#list + 1] = endpoint end
    end
  end
  set_endpoints(list)
  hints.windows = true
  assign()
  return { kind = 'ok' }
end

function handlers.setGate(op)
  local endpoint = endpoint_of(op.endpointId)
  if not endpoint or not endpoint.is_listed then return { kind = 'ok' } end
  move_gate(endpoint, op.gate)
  hints.windows = true
  assign()
  return { kind = 'ok' }
end

function handlers.setSoonSlots(op)
  if meta.soonSlots ~= op.slots then hints.windows = true end
  set_meta('soonSlots', op.slots)
  return { kind = 'ok' }
end
