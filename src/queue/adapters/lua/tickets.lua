-- Tickets: the hash `tickets` id -> packed record, read through a cache and written once when the turn ends.
-- `owner:<owner>` is the set of an owner's tickets, `offers:<owner>` its unanswered offers by lapse.

L.KINDS = { [0] = 'held', 'stored', 'row' }
L.STATES = { [0] = 'waiting', 'offered', 'running', 'recording' }
L.CODES = { held = 0, stored = 1, row = 2, waiting = 0, offered = 1, running = 2, recording = 3 }
-- What is packed behind the fields that every ticket has; of the last ones those that are as usual are left out.
L.OPTIONAL_FIELDS = { PRIORITY, CLASS_KEY, WEIGHT, MAX_CONCURRENCY, LANE, IS_OVERFLOW, CHARGED_TOKENS, ATTEMPT, EXCLUDED,
  ENDPOINT_ID, TOKEN, SINCE_MS }
L.USUAL = { 0, '', 1, 0, '', false, 0, 0, false, '', '', 0 }
L.COUNT_OF_FIXED = 9

-- Short, for many may wait: without the id, with durations since the tag instead of instants, and without what follows from
-- other fields. The first number is kind + 3 * state + 12 * clock of expiry (0 = none, 1 = the wall's, 2 = the other).
function L.pack_ticket(t)
  local tag_ms, expires_at_ms = math.floor(t[TAG] / 1000), t[EXPIRES_AT_MS]
  local clock = expires_at_ms == 0 and 0 or expires_at_ms > 0 and 1 or 2
  local list = {
    L.CODES[t[KIND]] + 3 * L.CODES[t[STATE]] + 12 * clock, t[TAG], t[OBJECTIVE], t[FAIRNESS_ID], t[OWNER],
    t[COST_TOKENS], t[BYTES], clock > 0 and math.abs(expires_at_ms) - tag_ms,
  }
  local fields, usual = L.OPTIONAL_FIELDS, L.USUAL
  local last = #fields
  while last > 0 and t[fields[last]] == usual[last] do last = last - 1 end
  local deadline_ms, queued_at_ms, band = t[DEADLINE_MS], t[QUEUED_AT_MS], t[BAND]
  local is_usual = deadline_ms == math.max(0, expires_at_ms) and queued_at_ms == tag_ms and band == t[PRIORITY]
  if not is_usual then
    list[L.COUNT_OF_FIXED] = { deadline_ms, queued_at_ms - tag_ms, band }
  elseif last > 0 then
    list[L.COUNT_OF_FIXED] = false
  end
  for i = 1, last do list[L.COUNT_OF_FIXED + i] = t[fields[i]] end
  return cmsgpack.pack(list)
end

-- One constructor, in the order of the names of turn.lua: a table that grows field by field costs three times as much.
function L.unpack_ticket(id, packed)
  local p = cmsgpack.unpack(packed)
  local head, tag, rare = p[1], p[2], p[9]
  local clock, tag_ms, expires_at_ms = math.floor(head / 12), math.floor(tag / 1000), 0
  if clock > 0 then expires_at_ms = (clock == 1 and 1 or -1) * (p[8] + tag_ms) end
  local priority = p[10] or 0
  local deadline_ms, queued_at_ms, band = math.max(0, expires_at_ms), tag_ms, priority
  if rare then deadline_ms, queued_at_ms, band = rare[1], rare[2] + tag_ms, rare[3] end
  return {
    id, L.KINDS[head % 3], p[3], priority, p[11] or '', p[7], p[6], expires_at_ms,
    tag, queued_at_ms, p[5], L.STATES[math.floor(head % 12 / 3)], p[19] or '', p[18] or false, p[17] or 0, p[20] or '',
    p[21] or 0, p[4], p[12] or 1, p[13] or 0, deadline_ms, band, p[14] or '', p[15] or false, p[16] or 0,
  }
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
