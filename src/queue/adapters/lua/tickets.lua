-- Tickets: the hash `tickets` id -> packed record, read through a cache and written once when the turn ends.
-- `owner:<owner>` is the set of an owner's tickets, `offers:<owner>` its unanswered offers by lapse.

L.SHORT_KINDS = { held = 'h', stored = 's', row = 'r' }
L.LONG_KINDS = { h = 'held', s = 'stored', r = 'row' }
L.SHORT_STATES = { waiting = 'w', offered = 'o', running = 'r', recording = 'c' }
L.LONG_STATES = { w = 'waiting', o = 'offered', r = 'running', c = 'recording' }

-- Short, for there may be many: without the id, and what follows from other fields is `false`.
function L.pack_ticket(t)
  local id, kind, state, queued_at_ms, deadline_ms = t[ID], t[KIND], t[STATE], t[QUEUED_AT_MS], t[DEADLINE_MS]
  t[ID], t[KIND], t[STATE] = false, L.SHORT_KINDS[kind], L.SHORT_STATES[state]
  if queued_at_ms == math.floor(t[TAG] / 1000) then t[QUEUED_AT_MS] = false end
  if deadline_ms == t[EXPIRES_AT_MS] then t[DEADLINE_MS] = false end
  local packed = cmsgpack.pack(t)
  t[ID], t[KIND], t[STATE], t[QUEUED_AT_MS], t[DEADLINE_MS] = id, kind, state, queued_at_ms, deadline_ms
  return packed
end

function L.unpack_ticket(id, packed)
  local t = cmsgpack.unpack(packed)
  t[ID], t[KIND], t[STATE] = id, L.LONG_KINDS[t[KIND]], L.LONG_STATES[t[STATE]]
  t[QUEUED_AT_MS] = t[QUEUED_AT_MS] or math.floor(t[TAG] / 1000)
  t[DEADLINE_MS] = t[DEADLINE_MS] or t[EXPIRES_AT_MS]
  return t
end

function L.load_ticket(id)
  local ticket = T.tickets[id]
  if ticket ~= nil then return ticket or nil end
  local packed = call('HGET', L.key('tickets', ''), id)
  ticket = packed and L.unpack_ticket(id, packed)
  T.tickets[id] = ticket
  return ticket or nil
end

function L.touch(ticket) T.changed_tickets[ticket[ID]] = true end

-- Deletes first: an ended ticket may have been admitted again.
function L.save_tickets()
  for first = 1, #T.ended, 1000 do
    call('HDEL', L.key('tickets', ''), unpack(T.ended, first, math.min(first + 999, #T.ended)))
  end
  T.ended = {}
  local writes, count = {}, 0
  for id in pairs(T.changed_tickets) do
    local ticket = T.tickets[id]
    if ticket then
      writes[count + 1], writes[count + 2] = id, L.pack_ticket(ticket)
      count = count + 2
    end
    if count == 1000 then
      call('HSET', L.key('tickets', ''), unpack(writes))
      writes, count = {}, 0
    end
  end
  if count > 0 then call('HSET', L.key('tickets', ''), unpack(writes)) end
  T.changed_tickets = {}
end

function L.own_ticket(id)
  local ticket = L.load_ticket(id)
  return ticket and ticket[OWNER] == owner and ticket or nil
end

function L.granted_ticket(id, token)
  local ticket = L.own_ticket(id)
  return ticket and ticket[TOKEN] == token and ticket or nil
end

function L.add_ticket(ticket)
  T.tickets[ticket[ID]] = ticket
  L.touch(ticket)
  call('SADD', L.key('owner:', ticket[OWNER]), ticket[ID])
end

-- The ticket holds a slot there.
function L.take_slot(ticket, endpoint_id)
  L.hold(endpoint_id, ticket[ID])
  ticket[ENDPOINT_ID] = endpoint_id
  L.touch(ticket)
  L.add_book(ticket[OBJECTIVE], 'slots', 1)
  if ticket[MAX_CONCURRENCY] > 0 then call('HINCRBY', L.key('tenants', ''), ticket[FAIRNESS_ID], 1) end
end

function L.give_slot(ticket)
  L.unhold(ticket[ENDPOINT_ID], ticket[ID])
  L.add_book(ticket[OBJECTIVE], 'slots', -1)
  if ticket[MAX_CONCURRENCY] == 0 then return end
  local left = call('HINCRBY', L.key('tenants', ''), ticket[FAIRNESS_ID], -1)
  if left <= 0 then call('HDEL', L.key('tenants', ''), ticket[FAIRNESS_ID]) end
  L.uncap_flow(ticket[FAIRNESS_ID])
end

function L.refund(ticket)
  if ticket[CHARGED_TOKENS] == 0 then return end
  L.account(ticket[OBJECTIVE], -ticket[CHARGED_TOKENS])
  L.recharge(ticket, 0)
end

function L.correct(ticket, used_tokens)
  if (used_tokens or 0) > 0 and ticket[CHARGED_TOKENS] > 0 then L.recharge(ticket, used_tokens) end
end

function L.reserve(ticket, endpoint_id, is_by_share)
  L.dequeue(ticket)
  L.serve(ticket, is_by_share)
  L.account(ticket[OBJECTIVE], ticket[CHARGED_TOKENS])
  L.take_slot(ticket, endpoint_id)
  ticket[TOKEN] = L.stamp_text(L.next_stamp())
  return { id = ticket[ID], endpointId = endpoint_id, token = ticket[TOKEN] }
end

function L.offer(ticket, endpoint_id, is_by_share)
  local reserved = L.reserve(ticket, endpoint_id, is_by_share)
  ticket[STATE] = 'offered'
  call('ZADD', L.key('offers:', ticket[OWNER]), now_ms + L.timing().offerMs, ticket[ID])
  L.tell_offer(ticket[OWNER], reserved)
end

function L.grant(ticket, endpoint_id, is_by_share)
  local grant = L.reserve(ticket, endpoint_id, is_by_share)
  L.start_run(ticket)
  grant.attempt, grant.waitedMs = ticket[ATTEMPT], now_ms - ticket[QUEUED_AT_MS]
  table.insert(T.grants, grant)
end

function L.run_entering(ticket, endpoint_id, is_by_share)
  L.reserve(ticket, endpoint_id, is_by_share)
  L.start_run(ticket)
end

function L.drop_offer(ticket)
  call('ZREM', L.key('offers:', ticket[OWNER]), ticket[ID])
end

function L.wait_again(ticket)
  L.give_slot(ticket)
  L.refund(ticket)
  L.enqueue(ticket)
  L.touch(ticket)
end

function L.unoffer(ticket)
  L.drop_offer(ticket)
  L.wait_again(ticket)
end

function L.start_run(ticket)
  ticket[STATE] = 'running'
  ticket[ATTEMPT] = ticket[ATTEMPT] + 1
  ticket[SINCE_MS] = now_ms
  L.touch(ticket)
end

function L.stop_run(ticket)
  L.give_slot(ticket)
  ticket[STATE] = 'recording'
  L.touch(ticket)
  local book = L.open_book(ticket[OBJECTIVE])
  book.releasedTotal = book.releasedTotal + 1
  book.slotMsTotal = book.slotMsTotal + now_ms - ticket[SINCE_MS]
  book.releasedCostTokensTotal = book.releasedCostTokensTotal + ticket[COST_TOKENS]
end

function L.end_ticket(ticket)
  if ticket[STATE] == 'waiting' then L.dequeue(ticket) end
  if ticket[STATE] == 'offered' then
    L.drop_offer(ticket)
    L.give_slot(ticket)
    L.refund(ticket)
  end
  if ticket[STATE] == 'running' then L.stop_run(ticket) end
  T.tickets[ticket[ID]] = false
  T.ended[#T.ended + 1] = ticket[ID]
  call('SREM', L.key('owner:', ticket[OWNER]), ticket[ID])
end

function L.evict(ticket, reason)
  L.end_ticket(ticket)
  L.tell_eviction(ticket[OWNER], ticket[ID], reason)
end
