-- Slots: `used:<endpoint>` is the set of ticket ids that hold one, and of '!<ticket>' for a quarantined one, so that
-- its size is the number in use. Endpoints are one packed list, read once a turn.

local endpoints
local are_endpoints_dirty = false

local function endpoint_list()
  if not endpoints then
    local packed = call('GET', P .. 'endpoints')
    endpoints = {}
    for i, e in ipairs(packed and cmsgpack.unpack(packed) or {}) do
      endpoints[i] = { id = e[1], slots = e[2], gate = e[3], is_listed = e[4], adapters = e[5] or false }
    end
  end
  return endpoints
end

local function save_endpoints()
  if not are_endpoints_dirty then return end
  local packed = {}
  for i, e in ipairs(endpoints) do packed[i] = { e.id, e.slots, e.gate, e.is_listed, e.adapters } end
  call('SET', P .. 'endpoints', cmsgpack.pack(packed))
  are_endpoints_dirty = false
end

local function endpoint_of(id)
  for _, endpoint in ipairs(endpoint_list()) do
    if endpoint.id == id then return endpoint end
  end
  return nil
end

local function contains(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

local function used_slots(endpoint_id) return size_of('SCARD', 'used:' .. endpoint_id) end
local function hold(endpoint_id, ticket_id) set_add('used:' .. endpoint_id, ticket_id) end
local function unhold(endpoint_id, ticket_id) set_remove('used:' .. endpoint_id, ticket_id) end

local function free_slots(endpoint)
  if endpoint.gate ~= 'open' then return 0 end
  return math.max(0, endpoint.slots - used_slots(endpoint.id))
end

local function open_slots()
  local sum = 0
  for _, endpoint in ipairs(endpoint_list()) do
    if endpoint.gate == 'open' then sum = sum + endpoint.slots end
  end
  return sum
end

local function serves(endpoint, class_key)
  return class_key == '' or not endpoint.adapters or contains(endpoint.adapters, class_key)
end

local function may_use(slot_class, endpoint)
  if endpoint.gate ~= 'open' or not serves(endpoint, slot_class.classKey) then return false end
  if not contains(slot_class.excluded, endpoint.id) then return true end
  for _, other in ipairs(endpoint_list()) do
    if other.gate == 'open' and serves(other, slot_class.classKey) and not contains(slot_class.excluded, other.id) then
      return false
    end
  end
  return true
end

-- The first endpoint of ranking[1..last] with a free slot for the class.
local function best_ranked(slot_class, ranking, last)
  for i = 1, last do
    local endpoint = endpoint_of(ranking[i])
    if endpoint and free_slots(endpoint) > 0 and may_use(slot_class, endpoint) then return endpoint.id end
  end
  return nil
end

local function freest(slot_class)
  local best, most_free = nil, 0
  for _, endpoint in ipairs(endpoint_list()) do
    local free = free_slots(endpoint)
    if free > most_free and may_use(slot_class, endpoint) then
      best, most_free = endpoint.id, free
    end
  end
  return best
end
