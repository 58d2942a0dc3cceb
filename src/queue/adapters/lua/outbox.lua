-- Announced work that was settled: `outbox` id by the time of that, `outbox-of` id -> objective.

L.MAX_DROPPED = 2

function L.drop_from_outbox(id)
  call('ZREM', P .. 'outbox', id)
  call('HDEL', P .. 'outbox-of', id)
end

function L.announce_end(id, objective)
  local too_old_ms = now_ms - L.timing().outcomeRetentionMs
  for _, old in ipairs(call('ZRANGEBYSCORE', P .. 'outbox', '-inf', too_old_ms, 'LIMIT', 0, L.MAX_DROPPED)) do
    L.drop_from_outbox(old)
  end
  call('ZADD', P .. 'outbox', now_ms, id)
  call('HSET', P .. 'outbox-of', id, objective)
end

function handlers.outbox(op)
  local jobs = {}
  for i, id in ipairs(call('ZRANGEBYSCORE', P .. 'outbox', '-inf', now_ms, 'LIMIT', 0, op.limit)) do
    jobs[i] = { id = id, objective = call('HGET', P .. 'outbox-of', id) or '' }
  end
  return { kind = 'outbox', jobs = jobs }
end

function handlers.ackOutbox(op)
  for _, id in ipairs(op.ids) do L.drop_from_outbox(id) end
  return L.OK
end
