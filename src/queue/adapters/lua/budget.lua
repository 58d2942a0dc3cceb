-- Why more may not be queued or stored; nil = it may.

-- What the pool has queued and stored, over all objectives: in `meta`, changed with every ticket and every job.
function L.add_queued(requests, bytes)
  L.set_meta('queuedRequests', T.meta.queuedRequests + requests)
  L.set_meta('queuedBytes', T.meta.queuedBytes + bytes)
end

function L.usage_of(objective)
  local book = L.book_of(objective)
  local requests = L.size_of('ZCARD', L.key('held:', objective))
    + L.size_of('ZCARD', L.key('stored:', objective))
  return requests, book.heldBytes + book.storedBytes
end

function L.percent_of(used, limit)
  return limit > 0 and math.floor(used * 100 / limit) or 100
end

function L.used_percent(pool, limits)
  return math.max(L.percent_of(pool.requests, limits.poolMaxRequests), L.percent_of(pool.bytes, limits.poolMaxBytes))
end

function L.rejected(limit, pool, limits)
  return { kind = 'rejected', reason = limit == 'shedAtPercent' and 'queue_shed' or 'queue_full',
    usedPercent = L.used_percent(pool, limits), limit = limit }
end

-- Of bands below `below_priority` (nil = none) only what is held.
function L.pool_usage(below_priority)
  local pool = { requests = T.meta.queuedRequests, bytes = T.meta.queuedBytes }
  for _, name in ipairs(below_priority and L.objective_names() or {}) do
    local book = L.book_of(name)
    if book.priority < below_priority then
      pool.requests = pool.requests - L.size_of('ZCARD', L.key('stored:', name))
      pool.bytes = pool.bytes - book.storedBytes
    end
  end
  return pool
end

function L.own_refusal(op, pool)
  local limits = op.limits
  local own_requests, own_bytes = L.usage_of(op.objective)
  if own_requests + 1 > limits.objectiveMaxRequests then return L.rejected('objectiveMaxRequests', pool, limits) end
  if own_bytes + op.bytes > limits.objectiveMaxBytes then return L.rejected('objectiveMaxBytes', pool, limits) end
  local max_requests, max_bytes = limits.tenantMaxRequests, limits.tenantMaxBytes
  if not max_requests and not max_bytes then return nil end
  local requests, bytes = L.tenant_usage(op.fairnessId or '')
  if requests + 1 > (max_requests or math.huge) then return L.rejected('tenantMaxRequests', pool, limits) end
  if bytes + op.bytes > (max_bytes or math.huge) then return L.rejected('tenantMaxBytes', pool, limits) end
  return nil
end

function L.pool_refusal(op, pool)
  local limits = op.limits
  if pool.requests + 1 > limits.poolMaxRequests then return L.rejected('poolMaxRequests', pool, limits) end
  if pool.bytes + op.bytes > limits.poolMaxBytes then return L.rejected('poolMaxBytes', pool, limits) end
  if L.used_percent(pool, limits) >= limits.shedAtPercent then return L.rejected('shedAtPercent', pool, limits) end
  return nil
end

function L.refusal(op)
  local pool = L.pool_usage(nil)
  return L.own_refusal(op, pool) or L.pool_refusal(op, pool)
end
