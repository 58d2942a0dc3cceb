-- The owner's word replaces what the ledger had of it. `unconfirmed:<owner>` = its tickets not named yet.

function L.restore(ticket, at)
  if at == 'waiting' then return L.enqueue(ticket) end
  ticket[STATE] = at
  ticket[TOKEN] = L.stamp_text(L.next_stamp())
  L.unquarantine(ticket[ENDPOINT_ID], ticket[OWNER], ticket[ID])
  if at == 'recording' then return end
  L.take_slot(ticket, ticket[ENDPOINT_ID])
  if not L.endpoint_of(ticket[ENDPOINT_ID]) then
    local list = L.endpoint_list()
    table.insert(list, L.unlisted_endpoint(ticket[ENDPOINT_ID]))
    L.set_endpoints(list)
  end
end

function L.ticket_of(claim)
  local tag = tonumber(claim.tag)
  L.set_meta('stamp', math.max(T.meta.stamp, tag))
  tag = tag > 0 and tag or L.next_stamp()
  local excluded = #claim.excluded > 0 and claim.excluded
  return L.new_ticket(claim, tag, claim.queuedAtMs, claim.endpointId, excluded, claim.attempt, now_ms)
end

function L.give_way(existing, at)
  if existing[STATE] == 'running' and at ~= 'recording' then
    L.give_slot(existing)
    if at == 'waiting' then L.refund(existing) end
    existing[STATE] = 'recording'
  end
  L.end_ticket(existing)
end

function L.keep_grant(ticket, existing)
  if existing[SINCE_MS] == 0 then return end
  for _, field in ipairs({ BAND, IS_OVERFLOW, CHARGED_TOKENS, SINCE_MS }) do ticket[field] = existing[field] end
end

function L.put_back(claim)
  local existing = L.load_ticket(claim.id)
  local is_done = claim.kind == 'stored' and L.outcome_of(claim.id)
  local is_own = existing and existing[OWNER] == owner
  if is_own then
    L.give_way(existing, is_done and 'recording' or claim.state)
  elseif existing and not is_done then
    local has_begun = existing[STATE] == 'running' or existing[STATE] == 'recording'
    if has_begun or claim.state == 'waiting' then return { state = 'lost', token = '', tag = '' } end
    L.evict(existing, 'lost')
  end
  if is_done then return { state = 'done', token = '', tag = '' } end
  local ticket = L.ticket_of(claim)
  if is_own and claim.state ~= 'waiting' then L.keep_grant(ticket, existing) end
  L.open_book(ticket[OBJECTIVE]).priority = ticket[PRIORITY]
  L.add_ticket(ticket)
  L.restore(ticket, claim.state)
  return { state = claim.state, token = ticket[TOKEN], tag = L.stamp_text(ticket[TAG]) }
end

function handlers.reassert(op)
  local unconfirmed = L.key('unconfirmed:', owner)
  if op.first then call('SUNIONSTORE', unconfirmed, L.key('owner:', owner)) end
  local answers = {}
  for i, claim in ipairs(op.tickets) do
    call('SREM', unconfirmed, claim.id)
    answers[i] = L.put_back(claim)
  end
  if op.last then
    for _, id in ipairs(call('SMEMBERS', unconfirmed)) do
      local ticket = L.own_ticket(id)
      if ticket then L.end_ticket(ticket) end
    end
    call('DEL', unconfirmed)
    L.has_reasserted()
  end
  L.assign()
  return { kind = 'reasserted', tickets = answers }
end
