-- Everything that scaling needs to know. O(slots in use + objectives x (queues + 32 buckets of deadlines) + bulks), and
-- one page of stored ids for every 256 that are in service.

L.PAGE = 256

-- { objective -> tickets that hold a slot }, and the same of rows.
function L.running_by_objective()
  local running, rows = {}, {}
  for _, endpoint in ipairs(L.endpoint_list()) do
    for _, id in ipairs(call('SMEMBERS', endpoint.used_key)) do
      local ticket = L.load_ticket(id)
      local objective = ticket and ticket[OBJECTIVE]
      if ticket then running[objective] = (running[objective] or 0) + 1 end
      if ticket and ticket[KIND] == 'row' then rows[objective] = (rows[objective] or 0) + 1 end
    end
  end
  return running, rows
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

function L.oldest_waiting_at_ms(objective, bulks)
  local oldest = L.oldest_stored_ms(objective) or math.huge
  for _, waiting in ipairs({ 'held:', 'intake:' }) do
    local head = call('ZRANGE', L.key(waiting, objective), 0, 0, 'WITHSCORES')[2]
    if head then oldest = math.min(oldest, math.floor(tonumber(head) / 1000)) end
  end
  for _, bulk in ipairs(bulks) do oldest = math.min(oldest, bulk[6]) end
  return oldest < math.huge and oldest or 0
end

function L.line_of(objective, running, running_rows)
  local book = L.book_of(objective)
  local bulks = L.bulks_of(objective)
  local rows, bytes, cost_tokens = 0, 0, 0
  for _, bulk in ipairs(bulks) do
    rows, bytes, cost_tokens = rows + bulk[2], bytes + bulk[3], cost_tokens + bulk[4]
  end
  local waiting_bulks = rows > (running_rows or 0) and bulks or {}
  return {
    objective = objective, priority = book.priority, running = running or 0,
    paused = L.is_paused(objective) or nil,
    waitingHeld = L.size_of('ZCARD', L.key('held:', objective)),
    waitingStored = L.size_of('ZCARD', L.key('intake:', objective)),
    stored = L.size_of('ZCARD', L.key('stored:', objective)) + rows,
    bytes = book.heldBytes + book.storedBytes + bytes,
    costTokens = book.heldCostTokens + book.storedCostTokens + cost_tokens,
    oldestAtEpochMs = L.oldest_waiting_at_ms(objective, waiting_bulks), deadlines = L.due_lines(objective, bulks),
    arrivedTotal = book.arrivedTotal, releasedTotal = book.releasedTotal, slotMsTotal = book.slotMsTotal,
    releasedCostTokensTotal = book.releasedCostTokensTotal, settledTotal = book.settledTotal,
  }
end

function handlers.snapshot()
  local running, rows = L.running_by_objective()
  local lines, uses = {}, {}
  for i, objective in ipairs(L.objective_names()) do
    lines[i] = L.line_of(objective, running[objective], rows[objective])
  end
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
