-- Runs the turn. An operation that fails is answered with `error`; the others are not affected.

local function is_admitted()
  if ops[1] and ops[1].op == 'open' then return true end
  if request.incarnation == '' or request.incarnation ~= meta.incarnation then return false end
  return call('ZSCORE', P .. 'owners', owner) ~= false
end

local function reply_to(op)
  local handler = handlers[op.op]
  if not handler then return { kind = 'error', message = 'unknown operation ' .. tostring(op.op) } end
  local is_done, reply = pcall(handler, op)
  if is_done then return reply end
  return { kind = 'error', message = tostring(type(reply) == 'table' and reply.err or reply) }
end

local function announce()
  for to, box in pairs(mail) do
    if to ~= owner then call('PUBLISH', P .. 'to:' .. to, cjson.encode(box)) end
  end
  for hint in pairs(hints) do
    call('PUBLISH', P .. 'all', cjson.encode({ from = owner, hint = hint }))
  end
end

if not is_admitted() then return '{"kind":"stale"}' end
end_recovery_if_due()
local replies = {}
for i, op in ipairs(ops) do replies[i] = reply_to(op) end
save_tickets()
save_books()
save_endpoints()
save_meta()
announce()
return cjson.encode({ kind = 'turned', nowMs = now_ms, replies = replies, mail = mail_of(owner), hints = hints })
