-- Slots: `used:<endpoint>` is the set of ticket ids that hold one, and of '!<entry>' for a quarantined one, so that
-- its size is the number in use. `endpoints` id -> packed record; a turn reads the one it asks for, or all.

function L.read_endpoint(id, packed)
  local r = cmsgpack.unpack(packed)
  return {
    id = id, used_key = L.key('used:', id), order = r[1], slots = r[2], gate = r[3], is_listed = r[4], adapters = r[5],
  }
end

-- One; to be changed only after `endpoint_list` has read all, which are written together.
function L.endpoint_of(id)
  local endpoint = T.endpoint_by_id[id]
  if endpoint == nil and not T.endpoints then
    local packed = call('HGET', L.key('endpoints', ''), id)
    endpoint = packed and L.read_endpoint(id, packed)
    T.endpoint_by_id[id] = endpoint
  end
  return endpoint or nil
end

-- All, in their order.
function L.endpoint_list()
  if not T.endpoints then
    local flat = call('HGETALL', L.key('endpoints', ''))
    local list = {}
    for i = 1, #flat, 2 do list[(i + 1) / 2] = L.read_endpoint(flat[i], flat[i + 1]) end
    table.sort(list, function(a, b) return a.order < b.order end)
    L.cache_endpoints(list)
  end
  return T.endpoints
end

function L.cache_endpoints(list)
  T.endpoints, T.endpoint_by_id, T.is_full = list, {}, false
  for _, endpoint in ipairs(list) do T.endpoint_by_id[endpoint.id] = endpoint end
end

-- Replaces them all.
function L.set_endpoints(list)
  for _, endpoint in ipairs(list) do endpoint.used_key = L.key('used:', endpoint.id) end
  L.cache_endpoints(list)
  T.are_endpoints_dirty = true
end

function L.save_endpoints()
  if not T.are_endpoints_dirty then return end
  call('DEL', L.key('endpoints', ''))
  for i, e in ipairs(T.endpoints) do
    local record = cmsgpack.pack({ i, e.slots, e.gate, e.is_listed, e.adapters })
    call('HSET', L.key('endpoints', ''), e.id, record)
  end
  T.are_endpoints_dirty = false
end

function L.contains(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

function L.used_slots(endpoint) return L.size_of('SCARD', endpoint.used_key) end
function L.hold(endpoint_id, ticket_id) L.resize(1, 'SADD', L.key('used:', endpoint_id), ticket_id) end
function L.unhold(endpoint_id, ticket_id)
  L.resize(-1, 'SREM', L.key('used:', endpoint_id), ticket_id)
  T.is_full = false
end

function L.free_slots(endpoint)
  if endpoint.gate ~= 'open' then return 0 end
  local used = T.sizes[endpoint.used_key] or L.used_slots(endpoint)
  return used < endpoint.slots and endpoint.slots - used or 0
end

function L.total_free()
  if T.is_full then return 0 end
  local sum = 0
  for _, endpoint in ipairs(L.endpoint_list()) do sum = sum + L.free_slots(endpoint) end
  T.is_full = sum == 0
  return sum
end

function L.open_slots()
  local sum = 0
  for _, endpoint in ipairs(L.endpoint_list()) do
    if endpoint.gate == 'open' then sum = sum + endpoint.slots end
  end
  return sum
end

function L.serves(endpoint, class_key)
  return class_key == '' or not endpoint.adapters or L.contains(endpoint.adapters, class_key)
end

-- `excluded` is a list or false.
function L.may_use(class_key, excluded, endpoint)
  if endpoint.gate ~= 'open' or not L.serves(endpoint, class_key) then return false end
  if not excluded or not L.contains(excluded, endpoint.id) then return true end
  for _, other in ipairs(L.endpoint_list()) do
    local is_other = other.gate == 'open' and other.slots > 0 and not L.contains(excluded, other.id)
    if is_other and L.serves(other, class_key) then return false end
  end
  return true
end

-- The first endpoint of ranking[1..last] with a free slot for the class.
function L.best_ranked(class_key, excluded, ranking, last)
  if T.is_full then return nil end
  for i = 1, last do
    local endpoint = L.endpoint_of(ranking[i])
    if endpoint and L.free_slots(endpoint) > 0 and L.may_use(class_key, excluded, endpoint) then return endpoint.id end
  end
  return nil
end

function L.is_other_free(class_key, excluded, endpoint_id)
  for _, other in ipairs(L.endpoint_list()) do
    local is_free = other.id ~= endpoint_id and L.free_slots(other) > 0
    if is_free and L.may_use(class_key, excluded, other) then return true end
  end
  return false
end

function L.freest(class_key, excluded)
  if T.is_full then return nil end
  local best, most_free, is_full = nil, 0, true
  for _, endpoint in ipairs(L.endpoint_list()) do
    local free = L.free_slots(endpoint)
    is_full = is_full and free == 0
    if free > most_free and L.may_use(class_key, excluded, endpoint) then
      best, most_free = endpoint.id, free
    end
  end
  T.is_full = is_full
  return best
end
