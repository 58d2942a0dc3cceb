-- Everything that scaling needs to know. O(slots in use + objectives x queues), and one page of stored ids for every
-- 256 that are in service.

L.PAGE = 256

function L.running_by_objective()
  local running = {}
  for _, endpoint in ipairs(L.endpoint_list()) do
    for _, id in ipairs(call('SMEMBERS', endpoint.used_key)) do
      local ticket = L.load_ticket(id)
      if ticket then running[ticket[OBJECTIVE]] = (running[ticket[OBJECTIVE]] or 0) + 1 end
    end
  end
  return running
end

function L.oldest_stored_ms(objective)
  local start = 0
  while true do
    local page = call('ZRANGE', L.key('stored:', objective), start, start + L.PAGE - 1, 'WITHSCORES')
    for i = 1, #page, 2 do
      local ticket = L.load_ticket(page[i])
      if not ticket or ticket[STATE] == 'waiting' then return tonumber(page[i + 1]) end
    end
    if #page < 2 * L.PAGE then return nil end
    start = start + L.PAGE
  end
end

function L.oldest_waiting_at_ms(objective)
  local oldest = L.oldest_stored_ms(objective)
  for _, queue in ipairs(L.queues_in_order()) do
    local head = queue.objective == objective and call('ZRANGE', queue.wait, 0, 0, 'WITHSCORES')[2]
    if head then
      local arrived = math.floor(tonumber(head) / 1000)
      oldest = oldest and math.min(oldest, arrived) or arrived
    end
  end
  return oldest or 0
end

function L.line_of(objective, running)
  local book = L.book_of(objective)
  return {
    objective = objective, priority = book.priority, running = running or 0,
    waitingHeld = L.size_of('ZCARD', L.key('held:', objective)),
    waitingStored = L.size_of('ZCARD', L.key('intake:', objective)),
    stored = L.size_of('ZCARD', L.key('stored:', objective)), bytes = book.heldBytes + book.storedBytes,
    costTokens = book.heldCostTokens + book.storedCostTokens, oldestAtEpochMs = L.oldest_waiting_at_ms(objective),
    arrivedTotal = book.arrivedTotal, releasedTotal = book.releasedTotal, slotMsTotal = book.slotMsTotal,
    settledTotal = book.settledTotal,
  }
end

function handlers.snapshot()
  local running = L.running_by_objective()
  local lines, uses = {}, {}
  for i, objective in ipairs(L.objective_names()) do lines[i] = L.line_of(objective, running[objective]) end
  local in_quarantine = L.quarantined()
  for i, e in ipairs(L.endpoint_list()) do
    local entries = in_quarantine[e.id]
    uses[i] = { id = e.id, slots = e.slots, gate = e.gate, used = L.used_slots(e),
      quarantined = entries and entries.count or 0 }
  end
  return {
    kind = 'snapshot', activityEpoch = T.meta.activityEpoch, recovering = L.is_recovering(),
    owners = call('ZCOUNT', P .. 'owners', '(' .. (now_ms - L.timing().deadOwnerMs), '+inf'),
    objectives = lines, endpoints = uses,
  }
end
