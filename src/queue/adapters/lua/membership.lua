-- Owners join and leave; incarnations begin and open. `awaiting` = owners that have yet to re-assert.

local function clear_live_order()
  local dead = { 'tickets', 'queues', 'quarantine', 'clean', 'owners', 'executors', 'missed' }
  for _, key in ipairs(call('ZRANGE', P .. 'queues', 0, -1)) do dead[#dead + 1] = 'wait:' .. key end
  for _, endpoint in ipairs(endpoint_list()) do dead[#dead + 1] = 'used:' .. endpoint.id end
  for _, name in ipairs(call('ZRANGE', P .. 'owners', 0, -1)) do
    for _, kind in ipairs({ 'owner:', 'offers:', 'unconfirmed:' }) do dead[#dead + 1] = kind .. name end
  end
  for _, objective in ipairs(objective_names()) do
    dead[#dead + 1] = 'held:' .. objective
    dead[#dead + 1] = 'intake:' .. objective
    set_book(objective, 'heldBytes', 0)
    set_book(objective, 'heldCostTokens', 0)
  end
  for _, key in ipairs(dead) do call('UNLINK', P .. key) end
  tickets, queues, sizes, offerable = {}, nil, {}, {}
end

local function begin_incarnation(run_id)
  set_meta('runId', run_id)
  set_meta('incarnation', run_id .. ':' .. now_ms)
  set_meta('recoverUntilMs', now_ms + timing.recoveryMs)
  set_meta('isAssignOwed', false)
  call('DEL', P .. 'awaiting')
  for _, name in ipairs(call('ZRANGE', P .. 'owners', 0, -1)) do call('SADD', P .. 'awaiting', name) end
  clear_live_order()
end

local function end_recovery()
  set_meta('recoverUntilMs', 0)
  call('DEL', P .. 'awaiting')
  hints.windows = true
  assign()
end

local function end_recovery_if_due()
  if is_recovering() and now_ms >= meta.recoverUntilMs then end_recovery() end
end

local function has_reasserted()
  local was_awaited = call('SREM', P .. 'awaiting', owner) == 1
  if was_awaited and is_recovering() and call('SCARD', P .. 'awaiting') == 0 then end_recovery() end
end

function handlers.open(op)
  if meta.runId ~= op.runId then
    local is_fresh = meta.incarnation == '' and op.previous == ''
    begin_incarnation(op.runId)
    if is_fresh then set_meta('recoverUntilMs', 0) end
  end
  call('ZADD', P .. 'owners', now_ms, owner)
  call('HDEL', P .. 'missed', owner)
  offerable[owner] = nil
  call(op.executes and 'SADD' or 'SREM', P .. 'executors', owner)
  return { kind = 'opened', incarnation = meta.incarnation, recovering = is_recovering() }
end

function handlers.leave()
  reap(owner, call('SCARD', P .. 'owner:' .. owner))
  assign()
  return { kind = 'ok' }
end
