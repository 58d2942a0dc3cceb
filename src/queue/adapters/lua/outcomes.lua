-- The one outcome of stored work; what is announced goes to the outbox in the same step.

function L.settle_ticket(op)
  local ticket = L.load_ticket(op.id)
  if not ticket then return end
  local is_active = ticket[STATE] == 'running' or ticket[STATE] == 'recording'
  if not is_active then
    L.evict(ticket, 'withdrawn')
  elseif ticket[OWNER] == owner and ticket[TOKEN] == op.token then
    L.correct(ticket, op.usedTokens)
    L.end_ticket(ticket)
  else
    L.tell_eviction(ticket[OWNER], op.id, 'settled')
  end
  L.assign()
end

function handlers.settle(op)
  local already = L.outcome_of(op.id)
  local demand = L.demand_of(op.id)
  if not already then
    local text = '{"atEpochMs":' .. now_ms .. ',"recordRef":' .. op.recordRef .. ',"outcome":' .. op.outcome .. '}'
    call('SET', L.outcome_key(op.id), text, 'PX', L.timing().outcomeRetentionMs)
    L.add_book(op.objective, 'settledTotal', 1)
    if op.announced or (demand and demand[ANNOUNCED]) then L.announce_end(op.id, op.objective) end
  end
  if demand then L.drop_demand(op.id, demand) end
  L.settle_ticket(op)
  return already and { kind = 'already', stored = already } or { kind = 'settled' }
end

function handlers.outcomes(op)
  local stored = {}
  for i, id in ipairs(op.ids) do stored[i] = L.outcome_of(id) or '' end
  return { kind = 'outcomes', stored = stored }
end
