-- The ways in which a grant or a ticket ends, outcomes aside.

L.MAX_EXCLUDED = 8

function handlers.release(op)
  local ticket = L.granted_ticket(op.id, op.token)
  if not ticket or ticket[STATE] ~= 'running' then return L.GONE end
  L.correct(ticket, op.usedTokens)
  L.stop_run(ticket)
  L.assign()
  return L.OK
end

function handlers.finish(op)
  local ticket = L.granted_ticket(op.id, op.token)
  if not ticket or (ticket[STATE] ~= 'running' and ticket[STATE] ~= 'recording') then return L.GONE end
  L.correct(ticket, op.usedTokens)
  L.end_ticket(ticket)
  L.add_book(ticket[OBJECTIVE], 'settledTotal', 1)
  L.assign()
  return L.OK
end

function handlers.requeue(op)
  local ticket = L.granted_ticket(op.id, op.token)
  if not ticket or ticket[STATE] ~= 'running' then return L.GONE end
  local excluded = ticket[EXCLUDED] or {}
  if op.exclude ~= '' and not L.contains(excluded, op.exclude) then
    table.insert(excluded, op.exclude)
    if #excluded > L.MAX_EXCLUDED then table.remove(excluded, 1) end
    ticket[EXCLUDED] = excluded
  end
  L.wait_again(ticket)
  local position = L.position_of(ticket)
  L.assign()
  return { kind = 'queued', position = position }
end

function handlers.withdraw(op)
  local ticket = L.own_ticket(op.id)
  if not ticket then return L.GONE end
  L.end_ticket(ticket)
  L.assign()
  return L.OK
end
