-- Work that is counted, not listed: `bulk` id -> packed {objective, requests, bytes, costTokens, deadlineMs,
-- acceptedAtMs}, and `bulk:<objective>` the set of an objective's ids.

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
  L.resize(1, 'SADD', L.key('bulk:', op.objective), op.id)
end

function handlers.setBulk(op)
  local objective, requests = L.unpacked(call('HGET', P .. 'bulk', op.id))
  local is_more = op.requests > (requests or 0)
  if objective and (op.requests == 0 or objective ~= op.objective) then
    call('HDEL', P .. 'bulk', op.id)
    L.resize(-1, 'SREM', L.key('bulk:', objective), op.id)
  end
  if op.requests > 0 then L.add_bulk(op) end
  local asleep = is_more and L.open_slots() == 0
  if is_more then L.set_meta('activityEpoch', T.meta.activityEpoch + 1) end
  if asleep then T.hints.wake = true end
  return { kind = 'bulk', asleep = asleep }
end
