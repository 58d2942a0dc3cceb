-- Turns an offer into a run, on the best endpoint of the ranking that is free at this moment.

function L.choose_endpoint(ticket, ranking)
  local offered_at
  for i, id in ipairs(ranking) do
    if id == ticket.endpointId then
      offered_at = i
      break
    end
  end
  local better = L.best_ranked(ticket, ranking, offered_at and offered_at - 1 or #ranking)
  return better or (offered_at and ticket.endpointId) or nil
end

function handlers.take(op)
  local ticket = L.own_ticket(op.id)
  if not ticket then return { kind = 'gone' } end
  if ticket.state ~= 'offered' or ticket.token ~= op.token then return { kind = 'stale' } end

  local endpoint_id = L.choose_endpoint(ticket, op.ranking)
  if not endpoint_id then return { kind = 'unranked' } end
  L.drop_offer(ticket)
  local is_swap = endpoint_id ~= ticket.endpointId
  if is_swap then
    L.unhold(ticket.endpointId, ticket.id)
    L.hold(endpoint_id, ticket.id)
    ticket.endpointId = endpoint_id
  end
  L.start_run(ticket)
  if is_swap then L.assign() end
  return { kind = 'run', endpointId = endpoint_id, attempt = ticket.attempt, waitedMs = now_ms - ticket.queuedAtMs }
end
