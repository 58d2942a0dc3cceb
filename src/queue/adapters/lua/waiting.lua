-- Waiting tickets: `held:<objective>` and `intake:<objective>` are the arrival index, by tag; when they expire
-- is in expiry.lua, where they stand in places.lua.

function L.waiting_key(ticket)
  return L.key(ticket[KIND] == 'held' and 'held:' or 'intake:', ticket[OBJECTIVE])
end

function L.add_held(ticket, sign)
  if ticket[KIND] ~= 'held' then return end
  local book = L.open_book(ticket[OBJECTIVE])
  book.heldBytes = book.heldBytes + sign * ticket[BYTES]
  book.heldCostTokens = book.heldCostTokens + sign * ticket[COST_TOKENS]
  L.add_queued(sign, sign * ticket[BYTES])
  L.add_usage('tenants-held', ticket[FAIRNESS_ID], sign, ticket[BYTES])
end

function L.enqueue(ticket)
  ticket[STATE] = 'waiting'
  L.place(ticket)
  L.resize(1, 'ZADD', L.waiting_key(ticket), ticket[TAG], ticket[ID])
  L.track_expiry(ticket)
  L.add_held(ticket, 1)
end

function L.dequeue(ticket)
  L.unplace(ticket)
  L.resize(-1, 'ZREM', L.waiting_key(ticket), ticket[ID])
  L.untrack_expiry(ticket)
  L.add_held(ticket, -1)
end

-- An estimate: never below 0, 0 = next.
function L.position_of(ticket)
  local higher = 0
  for number, band in pairs(L.band_list()) do
    if number > ticket[BAND] then higher = higher + band.waiting end
  end
  local rest = L.band_of(ticket[BAND]).waiting
  local flow, key = L.flow_of(ticket), L.queue_key(ticket)
  local rank = call('ZRANK', L.line_key(key, flow), ticket[ID])
  if not rank then return higher + rest end
  local index = L.key('index:', key)
  local flows = L.size_of('ZCARD', index)
  return higher + math.min(rest - 1, rank * math.max(1, flows) + (call('ZRANK', index, flow) or flows))
end
