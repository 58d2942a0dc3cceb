-- Turns an offer into a run, on the best endpoint of the ranking that is free at this moment.

function L.choose_endpoint(ticket, ranking)
  local offered_at
  for i, id in ipairs(ranking) do
    if id == ticket[ENDPOINT_ID] then
      offered_at = i
      break
    end
  end
  local better = L.best_ranked(ticket[CLASS_KEY], ticket[EXCLUDED], ranking, offered_at and offered_at - 1 or #ranking)
  return better or (offered_at and ticket[ENDPOINT_ID]) or nil
end

function handlers.take(op)
  local ticket = L.own_ticket(op.id)
  if not ticket then return L.GONE end
  if ticket[STATE] ~= 'offered' or ticket[TOKEN] ~= op.token then return { kind = 'stale' } end

  local endpoint_id = L.choose_endpoint(ticket, op.ranking)
  if not endpoint_id then return { kind = 'unranked' } end
  L.drop_offer(ticket)
  local is_swap = endpoint_id ~= ticket[ENDPOINT_ID]
  if is_swap then
    L.unhold(ticket[ENDPOINT_ID], ticket[ID])
    L.hold(endpoint_id, ticket[ID])
    ticket[ENDPOINT_ID] = endpoint_id
  end
  L.start_run(ticket)
  if is_swap then L.assign() end
  return { kind = 'run', endpointId = endpoint_id, attempt = ticket[ATTEMPT], waitedMs = now_ms - ticket[QUEUED_AT_MS] }
end
