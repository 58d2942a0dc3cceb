-- Owners join and leave; incarnations begin. `awaiting` = owners that have yet to re-assert.

-- All lines, which are named by the indexes and, where a flow left those, by `capped`.
function L.clear_lines()
  for _, queue in ipairs(L.queues_in_order()) do
    for _, flow in ipairs(call('ZRANGE', queue.index, 0, -1)) do call('UNLINK', L.line_key(queue.key, flow)) end
    call('UNLINK', queue.index)
  end
  local flat = call('HGETALL', L.key('capped', ''))
  for i = 1, #flat, 2 do
    for _, key in ipairs(cmsgpack.unpack(flat[i + 1])) do call('UNLINK', L.line_key(key, flat[i])) end
  end
  for number in pairs(L.band_list()) do
    L.open_band(number).waiting = 0
    local times = call('HGETALL', L.flows_key(number))
    for i = 1, #times, 2 do call('ZADD', L.idle_key(number), times[i + 1], times[i]) end
  end
end

function L.clear_live_order()
  L.clear_lines()
  local dead = { 'tickets', 'queues', 'expiries', 'stop-expiries', 'tenants-held', 'aging', 'tenants', 'capped', 'replacing',
    'owners', 'executors', 'missed' }
  for _, name in ipairs(call('ZRANGE', P .. 'owners', 0, -1)) do
    for _, kind in ipairs({ 'owner:', 'offers:', 'unconfirmed:' }) do dead[#dead + 1] = kind .. name end
  end
  for _, objective in ipairs(L.objective_names()) do
    for _, kind in ipairs({ 'held:', 'intake:', 'parked:' }) do dead[#dead + 1] = kind .. objective end
    local book = L.open_book(objective)
    L.add_queued(-call('ZCARD', L.key('held:', objective)), -book.heldBytes)
    book.heldBytes, book.heldCostTokens, book.slots = 0, 0, 0
  end
  for _, key in ipairs(dead) do call('UNLINK', P .. key) end
  T.tickets, T.changed_tickets, T.ended, T.queues, T.sizes, T.offerable, T.is_full = {}, {}, {}, nil, {}, {}, false
  T.usages['tenants-held'] = {}
end

function L.begin_incarnation(run_id)
  L.set_meta('runId', run_id)
  L.set_meta('incarnation', run_id .. ':' .. now_ms)
  L.set_meta('recoverUntilMs', now_ms + L.timing().recoveryMs)
  L.set_meta('isAssignOwed', false)
  L.set_meta('isReplacing', false)
  call('DEL', P .. 'awaiting')
  for _, name in ipairs(call('ZRANGE', P .. 'owners', 0, -1)) do call('SADD', P .. 'awaiting', name) end
  L.quarantine_all()
  L.clear_live_order()
end

function L.has_reasserted()
  if call('SREM', P .. 'awaiting', owner) == 0 then return end
  L.unquarantine_rest(owner)
  if L.is_recovering() and call('SCARD', P .. 'awaiting') == 0 then L.end_recovery() end
end

function handlers.open(op)
  L.set_timing(op.timing)
  if T.meta.runId ~= op.runId then
    local is_fresh = T.meta.incarnation == '' and op.previous == ''
    L.begin_incarnation(op.runId)
    if is_fresh then L.set_meta('recoverUntilMs', 0) end
  end
  call('ZADD', P .. 'owners', now_ms, owner)
  call('HDEL', P .. 'missed', owner)
  T.offerable[owner] = nil
  call(op.executes and 'SADD' or 'SREM', P .. 'executors', owner)
  L.note_capacity()
  return {
    kind = 'opened', incarnation = T.meta.incarnation, recovering = L.is_recovering(), stoppedMs = L.stopped_ms(),
  }
end

function handlers.leave()
  L.reap(owner, L.MAX_REAPED_TICKETS)
  T.has_left = true
  L.assign()
  return L.OK
end
