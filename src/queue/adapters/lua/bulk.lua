-- Work that is counted, not listed: `bulk` id -> packed {objective, requests, bytes, costTokens, deadlineMs,
-- acceptedAtMs}, `bulk:<objective>` the set of an objective's ids, `bulk-told` ids by when they were last told.

L.BULK_LAPSE_MS = 600000
L.MAX_LAPSED_BULKS = 256

function L.bulks_of(objective)
  local bulks = {}
  for i, id in ipairs(call('SMEMBERS', L.key('bulk:', objective))) do
    bulks[i] = cmsgpack.unpack(call('HGET', P .. 'bulk', id))
  end
  return bulks
end

function L.add_bulk(op)
  L.open_book(op.objective).priority = op.priority
  if not L.has_stored(op.objective) then T.hints.windows = true end
  call('HSET', P .. 'bulk', op.id, cmsgpack.pack({
    op.objective, op.requests, op.bytes, op.costTokens, op.deadlineMs, op.acceptedAtMs,
  }))
  call('ZADD', P .. 'bulk-told', now_ms, op.id)
  L.resize(1, 'SADD', L.key('bulk:', op.objective), op.id)
end

function L.remove_bulk(id, objective)
  call('HDEL', P .. 'bulk', id)
  call('ZREM', P .. 'bulk-told', id)
  L.resize(-1, 'SREM', L.key('bulk:', objective), id)
end

function L.lapse_bulks()
  local until_ms = now_ms - L.BULK_LAPSE_MS
  for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'bulk-told', '-inf', until_ms, 'LIMIT', 0, L.MAX_LAPSED_BULKS)) do
    L.remove_bulk(id, (L.unpacked(call('HGET', P .. 'bulk', id))))
  end
end

function handlers.setBulk(op)
  local objective, requests = L.unpacked(call('HGET', P .. 'bulk', op.id))
  local is_more = op.requests > (requests or 0)
  if objective and (op.requests == 0 or objective ~= op.objective) then
    L.remove_bulk(op.id, objective)
  end
  if op.requests > 0 then L.add_bulk(op) end
  local asleep = is_more and L.open_slots() == 0 and not L.is_paused(op.objective)
  if is_more then L.set_meta('activityEpoch', T.meta.activityEpoch + 1) end
  if asleep then T.hints.wake = true end
  return { kind = 'bulk', asleep = asleep }
end
