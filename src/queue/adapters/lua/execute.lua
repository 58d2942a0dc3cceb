-- Runs the turn. An operation that fails is answered with `error`; the others are not affected.

function L.is_admitted()
  local first = request.ops[1]
  if first and first.op == 'open' then return true end
  if request.incarnation == '' or request.incarnation ~= T.meta.incarnation then return false end
  return call('ZSCORE', P .. 'owners', owner) ~= false
end

function L.reply_to(op)
  if T.has_left then return { kind = 'error', message = 'the owner has left' } end
  local handler = handlers[op.op]
  if not handler then return { kind = 'error', message = 'unknown operation ' .. tostring(op.op) } end
  local is_done, reply = pcall(handler, op)
  if is_done then return reply end
  return { kind = 'error', message = tostring(type(reply) == 'table' and reply.err or reply) }
end

function L.announce()
  for to, box in pairs(T.mail) do
    if to ~= owner then call('PUBLISH', P .. 'to:' .. to, cjson.encode(box)) end
  end
  for hint in pairs(T.hints) do
    call('PUBLISH', P .. 'all', cjson.encode({ from = owner, hint = hint }))
  end
end

function L.turn(keys, args)
  L.begin(keys, args)
  if not L.is_admitted() then return '{"kind":"stale"}' end
  L.end_recovery_if_due()
  local replies = {}
  for i, op in ipairs(request.ops) do replies[i] = L.reply_to(op) end
  L.save_tickets()
  L.save_books()
  L.save_bands()
  L.save_usages()
  L.save_endpoints()
  L.save_meta()
  L.announce()
  return cjson.encode({
    kind = 'turned', nowMs = now_ms, replies = replies, grants = T.grants, mail = T.mail[owner], hints = T.hints,
  })
end
