-- The ways in which a grant or a ticket ends, outcomes aside.

L.MAX_EXCLUDED = 8

function handlers.release(op)
  local ticket = L.granted_ticket(op.id, op.token)
  if not ticket or ticket.state ~= 'running' then return { kind = 'gone' } end
  L.stop_run(ticket)
  L.assign()
  return { kind = 'ok' }
end

function handlers.finish(op)
  local ticket = L.granted_ticket(op.id, op.token)
  if not ticket or (ticket.state ~= 'running' and ticket.state ~= 'recording') then return { kind = 'gone' } end
  L.end_ticket(ticket)
  L.add_book(ticket.objective, 'settledTotal', 1)
  L.assign()
  return { kind = 'ok' }
end

function handlers.requeue(op)
  local ticket = L.granted_ticket(op.id, op.token)
  if not ticket or ticket.state ~= 'running' then return { kind = 'gone' } end
  L.unhold(ticket.endpointId, ticket.id)
  if op.exclude ~= '' and not L.contains(ticket.excluded, op.exclude) then
    table.insert(ticket.excluded, op.exclude)
    if #ticket.excluded > L.MAX_EXCLUDED then table.remove(ticket.excluded, 1) end
  end
  L.enqueue(ticket)
  L.touch(ticket)
  local position = L.position_of(ticket)
  L.assign()
  return { kind = 'queued', position = position }
end

function handlers.withdraw(op)
  local ticket = L.own_ticket(op.id)
  if not ticket then return { kind = 'gone' } end
  L.end_ticket(ticket)
  L.assign()
  return { kind = 'ok' }
end
