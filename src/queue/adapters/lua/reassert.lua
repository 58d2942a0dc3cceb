-- The owner's word replaces what the ledger had of it. `unconfirmed:<owner>` = its tickets not named yet.

local function place(ticket, at)
  if at == 'waiting' then return enqueue(ticket) end
  ticket.state = at
  ticket.token = next_stamp()
  unquarantine(ticket.endpointId, ticket.id)
  if at == 'recording' then return end
  hold(ticket.endpointId, ticket.id)
  if not endpoint_of(ticket.endpointId) then
    table.insert(endpoint_list(), unlisted_endpoint(ticket.endpointId))
    are_endpoints_dirty = true
  end
end

local function ticket_of(claim)
  local tag = tonumber(claim.tag)
  set_meta('stamp', math.max(meta.stamp, tag))
  return {
    id = claim.id, kind = claim.kind, objective = claim.objective, priority = claim.priority,
    classKey = claim.classKey, bytes = claim.bytes, costTokens = claim.costTokens, expiresAtMs = claim.expiresAtMs,
    tag = tag > 0 and tag or next_stamp(), queuedAtMs = claim.queuedAtMs, owner = owner, state = 'waiting',
    endpointId = claim.endpointId, excluded = claim.excluded, attempt = claim.attempt, token = 0, sinceMs = now_ms,
  }
end

local function put_back(claim)
  local existing = load_ticket(claim.id)
  local is_done = claim.kind == 'stored' and outcome_of(claim.id)
  if existing and existing.owner == owner then
    end_ticket(existing)
  elseif existing and not is_done then
    local has_begun = existing.state == 'running' or existing.state == 'recording'
    if has_begun or claim.state == 'waiting' then return { state = 'lost', token = '', tag = '' } end
    evict(existing, 'lost')
  end
  if is_done then return { state = 'done', token = '', tag = '' } end
  local ticket = ticket_of(claim)
  set_book(ticket.objective, 'priority', ticket.priority)
  add_ticket(ticket)
  place(ticket, claim.state)
  return { state = claim.state, token = ticket.token == 0 and '' or stamp_text(ticket.token), tag = stamp_text(ticket.tag) }
end

function handlers.reassert(op)
  local unconfirmed = P .. 'unconfirmed:' .. owner
  if op.first then call('SUNIONSTORE', unconfirmed, P .. 'owner:' .. owner) end
  local answers = {}
  for i, claim in ipairs(op.tickets) do
    call('SREM', unconfirmed, claim.id)
    answers[i] = put_back(claim)
  end
  if op.last then
    for _, id in ipairs(call('SMEMBERS', unconfirmed)) do
      local ticket = own_ticket(id)
      if ticket then end_ticket(ticket) end
    end
    call('DEL', unconfirmed)
    has_reasserted()
  end
  assign()
  return { kind = 'reasserted', tickets = answers }
end
