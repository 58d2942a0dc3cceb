-- Stored work as demand: `demand` id -> packed {objective, bytes, costTokens, announced, dueBucketMs,
-- fairnessId},
-- `stored:<objective>` by arrival, `reservations` by lapse, `deadlines` by deadline.

function L.add_stored(objective, bytes, cost_tokens)
  local book = L.open_book(objective)
  book.storedBytes = book.storedBytes + bytes
  book.storedCostTokens = book.storedCostTokens + cost_tokens
  return book
end

function L.demand_of(id)
  local packed = call('HGET', P .. 'demand', id)
  return packed and cmsgpack.unpack(packed)
end

function L.save_demand(id, demand) call('HSET', P .. 'demand', id, cmsgpack.pack(demand)) end

function L.remove_demand(id)
  local demand = L.demand_of(id)
  if demand then L.drop_demand(id, demand) end
end

function L.drop_demand(id, demand)
  local objective = demand[OBJECTIVE_OF]
  call('HDEL', P .. 'demand', id)
  call('ZREM', P .. 'reservations', id)
  call('ZREM', P .. 'deadlines', id)
  L.remove_due(demand)
  L.resize(-1, 'ZREM', L.key('stored:', objective), id)
  L.add_stored(objective, -demand[BYTES_OF], -demand[COST_TOKENS_OF])
  L.add_queued(-1, -demand[BYTES_OF])
  L.add_usage('tenants-stored', demand[TENANT_OF] or '', -1, demand[BYTES_OF])
end

-- Work that is stored, one by one or in bulk.
function L.has_stored(objective)
  return L.size_of('ZCARD', L.key('stored:', objective)) > 0 or L.size_of('SCARD', L.key('bulk:', objective)) > 0
end

function L.add_demand(op, arrived_at_ms)
  if not L.has_stored(op.objective) then T.hints.windows = true end
  local fairness_id = op.fairnessId or ''
  if fairness_id == '' then
    L.save_demand(op.id, { op.objective, op.bytes, op.costTokens })
  else
    L.save_demand(op.id, { op.objective, op.bytes, op.costTokens, false, false, fairness_id })
    L.add_usage('tenants-stored', fairness_id, 1, op.bytes)
  end
  L.resize(1, 'ZADD', L.key('stored:', op.objective), arrived_at_ms, op.id)
  L.add_stored(op.objective, op.bytes, op.costTokens).priority = op.priority
  L.add_queued(1, op.bytes)
  L.set_meta('activityEpoch', T.meta.activityEpoch + 1)
end

function L.has_demand(id) return call('HEXISTS', P .. 'demand', id) == 1 end

function handlers.reserve(op)
  local is_new = not L.has_demand(op.id) and not L.outcome_of(op.id)
  if is_new then
    local rejected = L.refusal(op)
    if rejected then return rejected end
    L.add_demand(op, now_ms)
  end
  if is_new or call('ZSCORE', P .. 'reservations', op.id) then
    call('ZADD', P .. 'reservations', now_ms + op.ttlMs, op.id)
  end
  local asleep = L.open_slots() == 0 and not L.is_paused(op.objective)
  if asleep then T.hints.wake = true end
  return { kind = 'reserved', asleep = asleep }
end

function L.set_deadline(op, demand)
  call('ZADD', P .. 'deadlines', op.deadlineMs, op.id)
  local accepted_at_ms = tonumber(call('ZSCORE', L.key('stored:', demand[OBJECTIVE_OF]), op.id))
  local bucket_ms = L.due_bucket_ms(op.deadlineMs, accepted_at_ms)
  if bucket_ms == demand[DUE_BUCKET_MS] then return end
  L.remove_due(demand)
  L.add_due(demand, bucket_ms, accepted_at_ms)
end

function handlers.confirm(op)
  if L.outcome_of(op.id) then return L.OK end
  local is_new = not L.has_demand(op.id)
  if is_new then L.add_demand(op, op.acceptedAtMs > 0 and op.acceptedAtMs or now_ms) end
  local was_reserved = call('ZREM', P .. 'reservations', op.id) == 1
  if op.announced or op.deadlineMs > 0 then
    local demand = L.demand_of(op.id)
    demand[ANNOUNCED] = demand[ANNOUNCED] or op.announced or false
    if op.deadlineMs > 0 then L.set_deadline(op, demand) end
    L.save_demand(op.id, demand)
  end
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
    local demand = L.demand_of(id)
    jobs[i] = { id = id, objective = demand and demand[OBJECTIVE_OF] or '' }
  end
  return { kind = 'overdue', jobs = jobs }
end
