-- Two clocks of expiry: the wall's, and one that stands still while the pool has no open slot, on which a ticket's
-- EXPIRES_AT_MS is below 0 and in `stop-expiries`.

L.MAX_EXPIRED = 1000

function L.stopped_ms()
  local since = T.meta.stoppedSinceMs
  return T.meta.stoppedMs + (since > 0 and now_ms - since or 0)
end

function L.note_capacity()
  local is_stopped = L.open_slots() == 0
  if is_stopped == (T.meta.stoppedSinceMs > 0) then return end
  L.set_meta('stoppedMs', L.stopped_ms())
  L.set_meta('stoppedSinceMs', is_stopped and now_ms or 0)
end

function L.kept_expiry(expires_at_ms, stops)
  return stops and expires_at_ms > 0 and L.stopped_ms() - expires_at_ms or expires_at_ms
end

function L.expiry_at_ms(ticket)
  local expires_at_ms = ticket[EXPIRES_AT_MS]
  return expires_at_ms < 0 and L.stopped_ms() - expires_at_ms or expires_at_ms
end

function L.has_expired(ticket)
  local at_ms, deadline_ms = L.expiry_at_ms(ticket), ticket[DEADLINE_MS]
  return (at_ms > 0 and at_ms <= now_ms)
    or (ticket[EXPIRES_AT_MS] < 0 and deadline_ms > 0 and deadline_ms <= now_ms)
end

function L.track_expiry(ticket)
  local expires_at_ms = ticket[EXPIRES_AT_MS]
  if expires_at_ms < 0 then call('ZADD', L.key('stop-expiries', ''), -expires_at_ms, ticket[ID]) end
end

function L.untrack_expiry(ticket)
  if ticket[EXPIRES_AT_MS] < 0 then call('ZREM', L.key('stop-expiries', ''), ticket[ID]) end
end

function L.expire_tickets()
  local until_ms = now_ms - L.stopped_ms()
  for _, id in ipairs(call('ZRANGEBYSCORE', L.key('stop-expiries', ''), '-inf', until_ms, 'LIMIT', 0, L.MAX_EXPIRED)) do
    local ticket = L.load_ticket(id)
    if ticket then L.evict(ticket, 'expired') end
  end
end
