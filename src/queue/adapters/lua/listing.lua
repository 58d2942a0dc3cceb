-- Tickets as an operator sees them. O(objectives + 4,000 tickets looked at), and a position for each that is listed.

L.MAX_LISTED = 500
L.MAX_LOOKS = 4000
L.MIN_LOOKS_PER_OBJECTIVE = 64

function L.by_score(a, b)
  if a.score ~= b.score then return a.score < b.score end
  return a.id < b.id
end

-- { score, id } of waiting tickets, by arrival.
function L.waiting_by_arrival(objective)
  local names = L.objective_names()
  if objective ~= '' then names = L.contains(names, objective) and { objective } or {} end
  local looks = math.max(L.MIN_LOOKS_PER_OBJECTIVE, math.floor(L.MAX_LOOKS / math.max(1, 2 * #names)))
  local entries = {}
  for _, name in ipairs(names) do
    for _, kind in ipairs({ 'held:', 'intake:' }) do
      local page = call('ZRANGE', L.key(kind, name), 0, looks - 1, 'WITHSCORES')
      for i = 1, #page, 2 do entries[#entries + 1] = { id = page[i], score = tonumber(page[i + 1]) } end
    end
  end
  table.sort(entries, L.by_score)
  return entries
end

-- { score, id } of tickets that hold a slot, by arrival.
function L.in_service()
  local entries = {}
  for _, endpoint in ipairs(L.endpoint_list()) do
    for _, id in ipairs(call('SMEMBERS', endpoint.used_key)) do
      local ticket = L.load_ticket(id)
      if ticket then entries[#entries + 1] = { id = id, score = ticket[TAG] } end
    end
  end
  table.sort(entries, L.by_score)
  return entries
end

function L.reason_of(ticket)
  if L.is_paused(ticket[OBJECTIVE]) then return 'paused' end
  if L.open_slots() == 0 then return 'no_capacity' end
  local is_served = false
  for _, endpoint in ipairs(L.endpoint_list()) do
    is_served = is_served or (endpoint.slots > 0 and L.may_use(ticket[CLASS_KEY], ticket[EXCLUDED], endpoint))
  end
  if not is_served then return 'no_endpoint_for_class' end
  if L.is_at_limit(ticket[FAIRNESS_ID], ticket[MAX_CONCURRENCY]) then return 'tenant_concurrency' end
  local is_kept = L.freest(ticket[CLASS_KEY], ticket[EXCLUDED]) and L.total_free() <= L.reserved_above(ticket[BAND])
  if is_kept then return 'reserved' end
  return L.is_offerable(ticket[OWNER]) and 'order' or 'owner_silent'
end

function L.ticket_line(ticket)
  local waits = ticket[STATE] == 'waiting'
  return {
    id = ticket[ID], kind = ticket[KIND], objective = ticket[OBJECTIVE], priority = ticket[PRIORITY],
    fairnessId = ticket[FAIRNESS_ID], state = ticket[STATE], owner = ticket[OWNER], attempt = ticket[ATTEMPT],
    costTokens = ticket[COST_TOKENS], position = waits and L.position_of(ticket) or -1,
    reason = waits and L.reason_of(ticket) or '', endpointId = waits and '' or ticket[ENDPOINT_ID],
    queuedAtEpochMs = ticket[QUEUED_AT_MS], expiresAtEpochMs = L.expiry_at_ms(ticket),
  }
end

function handlers.list(op)
  local limit = math.min(op.limit, L.MAX_LISTED)
  local lines = {}
  local function add(entries, most)
    for i = 1, math.min(most, #entries) do
      if #lines >= limit then return end
      local ticket = L.load_ticket(entries[i].id)
      local is_asked = ticket and (op.objective == '' or ticket[OBJECTIVE] == op.objective)
        and (op.fairnessId == '' or ticket[FAIRNESS_ID] == op.fairnessId)
      if is_asked then lines[#lines + 1] = L.ticket_line(ticket) end
    end
  end
  add(L.waiting_by_arrival(op.objective), L.MAX_LOOKS)
  if #lines < limit then add(L.in_service(), math.huge) end
  return { kind = 'listed', tickets = lines }
end

function handlers.find(op)
  local ticket = L.load_ticket(op.id)
  return { kind = 'listed', tickets = ticket and { L.ticket_line(ticket) } or {} }
end
