-- The ways in which a grant or a ticket ends, outcomes aside.

local MAX_EXCLUDED = 8

function handlers.release(op)
  local ticket = granted_ticket(op.id, op.token)
  if not ticket or ticket.state ~= 'running' then return { kind = 'gone' } end
  stop_run(ticket)
  assign()
  return { kind = 'ok' }
end

function handlers.finish(op)
  local ticket = granted_ticket(op.id, op.token)
  if not ticket or (ticket.state ~= 'running' and ticket.state ~= 'recording') then return { kind = 'gone' } end
  end_ticket(ticket)
  add_book(ticket.objective, 'settledTotal', 1)
  assign()
  return { kind = 'ok' }
end

function handlers.requeue(op)
  local ticket = granted_ticket(op.id, op.token)
  if not ticket or ticket.state ~= 'running' then return { kind = 'gone' } end
  unhold(ticket.endpointId, ticket.id)
  if op.exclude ~= '' and not contains(ticket.excluded, op.exclude) then
    table.insert(ticket.excluded, op.exclude)
    if #ticket.excluded > MAX_EXCLUDED then table.remove(ticket.excluded, 1) end
  end
  enqueue(ticket)
  touch(ticket)
  local position = position_of(ticket)
  assign()
  return { kind = 'queued', position = position }
end

function handlers.withdraw(op)
  local ticket = own_ticket(op.id)
  if not ticket then return { kind = 'gone' } end
  end_ticket(ticket)
  assign()
  return { kind = 'ok' }
end
