-- Tickets: the hash `tickets` id -> packed record, read through a cache and written once when the turn ends.
-- `owner:<owner>` is the set of an owner's tickets, `offers:<owner>` its unanswered offers by lapse.

function L.load_ticket(id)
  local ticket = T.tickets[id]
  if ticket ~= nil then return ticket or nil end
  local packed = call('HGET', L.key('tickets', ''), id)
  if not packed then
    T.tickets[id] = false
    return nil
  end
  local r = cmsgpack.unpack(packed)
  ticket = {
    id = id, kind = r[1], objective = r[2], priority = r[3], classKey = r[4], bytes = r[5], costTokens = r[6],
    expiresAtMs = r[7], tag = r[8], queuedAtMs = r[9], owner = r[10], state = r[11], endpointId = r[12],
    excluded = r[13], attempt = r[14], token = r[15], sinceMs = r[16],
  }
  T.tickets[id] = ticket
  return ticket
end

function L.touch(ticket) ticket.is_dirty = true end

-- Deletes first: an ended ticket may have been admitted again.
function L.save_tickets()
  for first = 1, #T.ended, 1000 do
    call('HDEL', L.key('tickets', ''), unpack(T.ended, first, math.min(first + 999, #T.ended)))
  end
  T.ended = {}
  local writes = {}
  for id, t in pairs(T.tickets) do
    if t and t.is_dirty then
      writes[#writes + 1] = id
      writes[#writes + 1] = cmsgpack.pack({
        t.kind, t.objective, t.priority, t.classKey, t.bytes, t.costTokens, t.expiresAtMs, t.tag, t.queuedAtMs,
        t.owner, t.state, t.endpointId, t.excluded, t.attempt, t.token, t.sinceMs,
      })
      t.is_dirty = false
    end
    if #writes >= 1000 then
      call('HSET', L.key('tickets', ''), unpack(writes))
      writes = {}
    end
  end
  if #writes > 0 then call('HSET', L.key('tickets', ''), unpack(writes)) end
end

function L.own_ticket(id)
  local ticket = L.load_ticket(id)
  return ticket and ticket.owner == owner and ticket or nil
end

function L.granted_ticket(id, token)
  local ticket = L.own_ticket(id)
  return ticket and ticket.token == token and ticket or nil
end

function L.add_ticket(ticket)
  T.tickets[ticket.id] = ticket
  L.touch(ticket)
  call('SADD', L.key('owner:', ticket.owner), ticket.id)
end

function L.offer(ticket, endpoint_id)
  L.dequeue(ticket)
  L.hold(endpoint_id, ticket.id)
  ticket.state = 'offered'
  ticket.endpointId = endpoint_id
  ticket.token = L.stamp_text(L.next_stamp())
  L.touch(ticket)
  call('ZADD', L.key('offers:', ticket.owner), now_ms + L.timing().offerMs, ticket.id)
  L.tell_offer(ticket.owner, { id = ticket.id, endpointId = endpoint_id, token = ticket.token })
end

function L.drop_offer(ticket)
  call('ZREM', L.key('offers:', ticket.owner), ticket.id)
end

function L.unoffer(ticket)
  L.drop_offer(ticket)
  L.unhold(ticket.endpointId, ticket.id)
  L.enqueue(ticket)
  L.touch(ticket)
end

function L.start_run(ticket)
  ticket.state = 'running'
  ticket.attempt = ticket.attempt + 1
  ticket.sinceMs = now_ms
  L.touch(ticket)
end

function L.stop_run(ticket)
  L.unhold(ticket.endpointId, ticket.id)
  ticket.state = 'recording'
  L.touch(ticket)
  local book = L.open_book(ticket.objective)
  book.releasedTotal = book.releasedTotal + 1
  book.slotMsTotal = book.slotMsTotal + now_ms - ticket.sinceMs
end

function L.end_ticket(ticket)
  if ticket.state == 'waiting' then L.dequeue(ticket) end
  if ticket.state == 'offered' then
    L.drop_offer(ticket)
    L.unhold(ticket.endpointId, ticket.id)
  end
  if ticket.state == 'running' then L.stop_run(ticket) end
  T.tickets[ticket.id] = false
  T.ended[#T.ended + 1] = ticket.id
  call('SREM', L.key('owner:', ticket.owner), ticket.id)
end

function L.evict(ticket, reason)
  L.end_ticket(ticket)
  L.tell_eviction(ticket.owner, ticket.id, reason)
end
