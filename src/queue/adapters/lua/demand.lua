-- Stored work as demand: `demand` id -> packed {objective, bytes, costTokens}, `stored:<objective>` by arrival,
-- `reservations` by lapse, `deadlines` by deadline.

function L.add_stored(objective, bytes, cost_tokens)
  local book = L.open_book(objective)
  book.storedBytes = book.storedBytes + bytes
  book.storedCostTokens = book.storedCostTokens + cost_tokens
  return book
end

function L.remove_demand(id)
  local packed = call('HGET', P .. 'demand', id)
  if not packed then return end
  local objective, bytes, cost_tokens = unpack(cmsgpack.unpack(packed))
  call('HDEL', P .. 'demand', id)
  call('ZREM', P .. 'reservations', id)
  call('ZREM', P .. 'deadlines', id)
  L.resize(-1, 'ZREM', L.key('stored:', objective), id)
  L.add_stored(objective, -bytes, -cost_tokens)
end

function L.add_demand(op, arrived_at_ms)
  local stored_key = L.key('stored:', op.objective)
  if L.size_of('ZCARD', stored_key) == 0 then T.hints.windows = true end
  call('HSET', P .. 'demand', op.id, cmsgpack.pack({ op.objective, op.bytes, op.costTokens }))
  L.resize(1, 'ZADD', stored_key, arrived_at_ms, op.id)
  L.add_stored(op.objective, op.bytes, op.costTokens).priority = op.priority
  L.set_meta('activityEpoch', T.meta.activityEpoch + 1)
end

function L.has_demand(id) return call('HEXISTS', P .. 'demand', id) == 1 end

function handlers.reserve(op)
  local is_new = not L.has_demand(op.id) and not L.outcome_of(op.id)
  if is_new then
    local rejected = L.refusal(op.objective, op.bytes, op.limits)
    if rejected then return rejected end
    L.add_demand(op, now_ms)
  end
  if is_new or call('ZSCORE', P .. 'reservations', op.id) then
    call('ZADD', P .. 'reservations', now_ms + op.ttlMs, op.id)
  end
  local asleep = L.open_slots() == 0
  if asleep then T.hints.wake = true end
  return { kind = 'reserved', asleep = asleep }
end

function handlers.confirm(op)
  if L.outcome_of(op.id) then return L.OK end
  local is_new = not L.has_demand(op.id)
  if is_new then L.add_demand(op, op.acceptedAtMs > 0 and op.acceptedAtMs or now_ms) end
  local was_reserved = call('ZREM', P .. 'reservations', op.id) == 1
  if op.deadlineMs > 0 then call('ZADD', P .. 'deadlines', op.deadlineMs, op.id) end
  if is_new or was_reserved then L.add_book(op.objective, 'arrivedTotal', 1) end
  return L.OK
end

function handlers.forget(op)
  L.remove_demand(op.id)
  return L.OK
end

function handlers.overdue(op)
  local jobs = {}
  for i, id in ipairs(call('ZRANGEBYSCORE', P .. 'deadlines', '-inf', now_ms, 'LIMIT', 0, op.limit)) do
    local packed = call('HGET', P .. 'demand', id)
    jobs[i] = { id = id, objective = packed and cmsgpack.unpack(packed)[1] or '' }
  end
  return { kind = 'overdue', jobs = jobs }
end
