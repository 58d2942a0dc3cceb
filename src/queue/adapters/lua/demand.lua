-- Stored work as demand: `demand` id -> packed {objective, bytes, costTokens}, `stored:<objective>` by arrival,
-- `reservations` by lapse, `deadlines` by deadline.

local function remove_demand(id)
  local packed = call('HGET', P .. 'demand', id)
  if not packed then return end
  local objective, bytes, cost_tokens = unpack(cmsgpack.unpack(packed))
  call('HDEL', P .. 'demand', id)
  call('ZREM', P .. 'reservations', id)
  call('ZREM', P .. 'deadlines', id)
  zset_remove('stored:' .. objective, id)
  add_book(objective, 'storedBytes', -bytes)
  add_book(objective, 'storedCostTokens', -cost_tokens)
end

local function add_demand(op, arrived_at_ms)
  set_book(op.objective, 'priority', op.priority)
  if size_of('ZCARD', 'stored:' .. op.objective) == 0 then hints.windows = true end
  call('HSET', P .. 'demand', op.id, cmsgpack.pack({ op.objective, op.bytes, op.costTokens }))
  zset_add('stored:' .. op.objective, arrived_at_ms, op.id)
  add_book(op.objective, 'storedBytes', op.bytes)
  add_book(op.objective, 'storedCostTokens', op.costTokens)
  set_meta('activityEpoch', meta.activityEpoch + 1)
end

local function has_demand(id) return call('HEXISTS', P .. 'demand', id) == 1 end

function handlers.reserve(op)
  local is_new = not has_demand(op.id) and not outcome_of(op.id)
  if is_new then
    local rejected = refusal(op.objective, op.bytes, op.limits)
    if rejected then return rejected end
    add_demand(op, now_ms)
  end
  if is_new or call('ZSCORE', P .. 'reservations', op.id) then
    call('ZADD', P .. 'reservations', now_ms + op.ttlMs, op.id)
  end
  local asleep = open_slots() == 0
  if asleep then hints.wake = true end
  return { kind = 'reserved', asleep = asleep }
end

function handlers.confirm(op)
  if outcome_of(op.id) then return { kind = 'ok' } end
  local is_new = not has_demand(op.id)
  if is_new then add_demand(op, op.acceptedAtMs > 0 and op.acceptedAtMs or now_ms) end
  local was_reserved = call('ZREM', P .. 'reservations', op.id) == 1
  if op.deadlineMs > 0 then call('ZADD', P .. 'deadlines', op.deadlineMs, op.id) end
  if is_new or was_reserved then add_book(op.objective, 'arrivedTotal', 1) end
  return { kind = 'ok' }
end

function handlers.forget(op)
  remove_demand(op.id)
  return { kind = 'ok' }
end

function handlers.overdue(op)
  local jobs = {}
  for i, id in ipairs(call('ZRANGEBYSCORE', P .. 'deadlines', '-inf', now_ms, 'LIMIT', 0, op.limit)) do
    local packed = call('HGET', P .. 'demand', id)
    jobs[i] = { id = id, objective = packed and cmsgpack.unpack(packed)[1] or '' }
  end
  return { kind = 'overdue', jobs = jobs }
end
