-- Endpoints, gates and the slots that will come.

function L.move_gate(endpoint, gate)
  endpoint.gate = gate
  T.are_endpoints_dirty, T.is_full = true, false
  if gate == 'open' then return end
  for _, id in ipairs(call('SMEMBERS', endpoint.used_key)) do
    local ticket = L.load_ticket(id)
    if ticket and ticket[STATE] == 'offered' then L.unoffer(ticket) end
  end
end

function L.unlisted_endpoint(id)
  return { id = id, slots = 0, adapters = false, gate = 'closed', is_listed = false }
end

function L.drop_unused_endpoints()
  local kept = {}
  for _, endpoint in ipairs(L.endpoint_list()) do
    if endpoint.is_listed or L.used_slots(endpoint) > 0 then kept[#kept + 1] = endpoint end
  end
  if #kept < #L.endpoint_list() then L.set_endpoints(kept) end
end

function handlers.setEndpoints(op)
  local known = {}
  for _, endpoint in ipairs(L.endpoint_list()) do known[endpoint.id] = endpoint end
  local list = {}
  for i, e in ipairs(op.endpoints) do
    local before = known[e.id]
    known[e.id] = nil
    local gate = before and before.is_listed and before.gate or 'open'
    list[i] = { id = e.id, slots = e.slots, adapters = e.adapters or false, gate = gate, is_listed = true }
  end
  for _, endpoint in ipairs(L.endpoint_list()) do
    if known[endpoint.id] then
      L.move_gate(endpoint, 'closed')
      endpoint.slots = 0
      endpoint.is_listed = false
      if L.used_slots(endpoint) > 0 then list[#list + 1] = endpoint end
    end
  end
  L.set_endpoints(list)
  L.note_capacity()
  T.hints.windows = true
  L.assign()
  return L.OK
end

function handlers.setGate(op)
  L.endpoint_list()
  local endpoint = L.endpoint_of(op.endpointId)
  if not endpoint or not endpoint.is_listed then return L.OK end
  L.move_gate(endpoint, op.gate)
  L.note_capacity()
  T.hints.windows = true
  L.assign()
  return L.OK
end

function handlers.setSoonSlots(op)
  if T.meta.soonSlots ~= op.slots then T.hints.windows = true end
  L.set_meta('soonSlots', op.slots)
  return L.OK
end
