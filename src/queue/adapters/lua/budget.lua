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

function L.percent(used, limit)
  return limit > 0 and math.floor(used * 100 / limit) or 100
end

function L.refusal(objective, bytes, limits)
  local own_requests, own_bytes = L.usage_of(objective)
  local pool_requests, pool_bytes = T.meta.queuedRequests, T.meta.queuedBytes
  local used_percent =
    math.max(L.percent(pool_requests, limits.poolMaxRequests), L.percent(pool_bytes, limits.poolMaxBytes))
  local limit, reason = nil, 'queue_full'
  if own_requests + 1 > limits.objectiveMaxRequests then limit = 'objectiveMaxRequests'
  elseif own_bytes + bytes > limits.objectiveMaxBytes then limit = 'objectiveMaxBytes'
  elseif pool_requests + 1 > limits.poolMaxRequests then limit = 'poolMaxRequests'
  elseif pool_bytes + bytes > limits.poolMaxBytes then limit = 'poolMaxBytes'
  elseif used_percent >= limits.shedAtPercent then limit, reason = 'shedAtPercent', 'queue_shed'
  end
  return limit and { kind = 'rejected', reason = reason, usedPercent = used_percent, limit = limit } or nil
end
