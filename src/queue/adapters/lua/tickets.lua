-- Tickets: the hash `tickets` id -> packed record, read through a cache and written once when the turn ends.
-- `owner:<owner>` is the set of an owner's tickets, `offers:<owner>` its unanswered offers by lapse.

local tickets = {}

local function load_ticket(id)
  local ticket = tickets[id]
  if ticket ~= nil then return ticket or nil end
  local packed = call('HGET', P .. 'tickets', id)
  if not packed then
    tickets[id] = false
    return nil
  end
  local r = cmsgpack.unpack(packed)
  ticket = {
    id = id, kind = r[1], objective = r[2], priority = r[3], classKey = r[4], bytes = r[5], costTokens = r[6],
    expiresAtMs = r[7], tag = r[8], queuedAtMs = r[9], owner = r[10], state = r[11], endpointId = r[12],
    excluded = r[13], attempt = r[14], token = r[15], sinceMs = r[16],
  }
  tickets[id] = ticket
  return ticket
end

local function touch(ticket) ticket.is_dirty = true end

local function save_tickets()
  local writes = {}
  for id, t in pairs(tickets) do
    if t and t.is_dirty then
      writes[#writes + 1] = id
      writes[#writes + 1] = cmsgpack.pack({
        t.kind, t.objective, t.priority, t.classKey, t.bytes, t.costTokens, t.expiresAtMs, t.tag, t.queuedAtMs,
        t.owner, t.state, t.endpointId, t.excluded, t.attempt, t.token, t.sinceMs,
      })
      t.is_dirty = false
    end
    if #writes >= 1000 then
      call('HSET', P .. 'tickets', unpack(writes))
      writes = {}
    end
  end
  if #writes > 0 then call('HSET', P .. 'tickets', unpack(writes)) end
end

local function own_ticket(id)
  local ticket = load_ticket(id)
  return ticket and ticket.owner == owner and ticket or nil
end

local function granted_ticket(id, token)
  local ticket = own_ticket(id)
  return ticket and stamp_text(ticket.token) == token and ticket or nil
end

local function add_ticket(ticket)
  tickets[ticket.id] = ticket
  touch(ticket)
  call('SADD', P .. 'owner:' .. ticket.owner, ticket.id)
end

local function offer(ticket, endpoint_id)
  dequeue(ticket)
  hold(endpoint_id, ticket.id)
  ticket.state = 'offered'
  ticket.endpointId = endpoint_id
  ticket.token = next_stamp()
  touch(ticket)
  call('ZADD', P .. 'offers:' .. ticket.owner, now_ms + timing.offerMs, ticket.id)
  tell_offer(ticket.owner, { id = ticket.id, endpointId = endpoint_id, token = stamp_text(ticket.token) })
end

local function drop_offer(ticket)
  call('ZREM', P .. 'offers:' .. ticket.owner, ticket.id)
end

local function unoffer(ticket)
  drop_offer(ticket)
  unhold(ticket.endpointId, ticket.id)
  enqueue(ticket)
  touch(ticket)
end

local function start_run(ticket)
  ticket.state = 'running'
  ticket.attempt = ticket.attempt + 1
  ticket.sinceMs = now_ms
  touch(ticket)
end

local function stop_run(ticket)
  unhold(ticket.endpointId, ticket.id)
  ticket.state = 'recording'
  touch(ticket)
  add_book(ticket.objective, 'releasedTotal', 1)
  add_book(ticket.objective, 'slotMsTotal', now_ms - ticket.sinceMs)
end

local function end_ticket(ticket)
  if ticket.state == 'waiting' then dequeue(ticket) end
  if ticket.state == 'offered' then
    drop_offer(ticket)
    unhold(ticket.endpointId, ticket.id)
  end
  if ticket.state == 'running' then stop_run(ticket) end
  tickets[ticket.id] = false
  call('HDEL', P .. 'tickets', ticket.id)
  call('SREM', P .. 'owner:' .. ticket.owner, ticket.id)
end

local function evict(ticket, reason)
  end_ticket(ticket)
  tell_eviction(ticket.owner, ticket.id, reason)
end
