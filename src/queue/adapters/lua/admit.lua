-- Lets a ticket in: it runs at once on a slot that is owed to nobody or to itself, waits at its place, or is refused.

function L.slot_owed_to_nobody(op)
  if L.is_recovering() or T.meta.isAssignOwed or L.size_of('ZCARD', L.key('queues', '')) > 0 then return nil end
  if L.is_paused(op.objective) or L.total_free() <= L.reserved_above(op.priority) then return nil end
  if L.is_at_limit(op.fairnessId or '', op.maxConcurrency or 0) then return nil end
  return L.best_ranked(op.classKey, false, op.ranking, #op.ranking)
end

function L.count_arrival(op)
  local book = L.open_book(op.objective)
  book.priority = op.priority
  book.lastArrivedAtMs = now_ms
  if op.kind == 'held' then book.arrivedTotal = book.arrivedTotal + 1 end
  L.set_meta('activityEpoch', T.meta.activityEpoch + 1)
end

function L.arriving_ticket(op)
  local stamp = L.next_stamp()
  local tag = op.arrivedAtMs > 0 and math.min(stamp, op.arrivedAtMs * 1000) or stamp
  local ticket = L.new_ticket(op, tag, now_ms, '', false, 0, 0)
  L.add_ticket(ticket)
  return ticket
end

function L.run_reply(ticket)
  return { kind = 'run', endpointId = ticket[ENDPOINT_ID], token = ticket[TOKEN], tag = L.stamp_text(ticket[TAG]) }
end

function L.run_at_once(op, endpoint_id)
  L.count_arrival(op)
  local ticket = L.arriving_ticket(op)
  L.take_slot(ticket, endpoint_id)
  ticket[TOKEN] = L.stamp_text(L.next_stamp())
  L.start_run(ticket)
  return L.run_reply(ticket)
end

function L.enter(op)
  local ticket = L.arriving_ticket(op)
  L.enqueue(ticket)
  T.entering = { ticket = ticket, ranking = op.ranking }
  L.assign()
  T.entering = nil
  return ticket
end

function L.entered(ticket)
  if ticket[STATE] == 'running' then return L.run_reply(ticket) end
  local asleep = L.open_slots() == 0 and not L.is_paused(ticket[OBJECTIVE])
  if asleep then T.hints.wake = true end
  local position = ticket[STATE] == 'waiting' and L.position_of(ticket) or 0
  return { kind = 'queued', position = position, tag = L.stamp_text(ticket[TAG]), asleep = asleep }
end

function handlers.admit(op)
  local stored = op.kind == 'stored' and L.outcome_of(op.id)
  if stored then return { kind = 'done', stored = stored } end
  local existing = L.load_ticket(op.id)
  if existing then return { kind = 'live', owner = existing[OWNER] } end
  if op.expiresAtMs > 0 and op.expiresAtMs <= now_ms then return { kind = 'expired' } end
  local deadline_ms = op.deadlineMs or 0
  local is_late = op.expiryStops and op.expiresAtMs > 0 and deadline_ms > 0 and deadline_ms <= now_ms
  if is_late then return { kind = 'expired' } end

  local endpoint_id = L.slot_owed_to_nobody(op)
  if endpoint_id then return L.run_at_once(op, endpoint_id) end
  if op.kind == 'held' and L.refusal(op) then
    if L.total_free() > 0 then
      local ticket = L.enter(op)
      if ticket[STATE] ~= 'waiting' then
        L.count_arrival(op)
        return L.entered(ticket)
      end
      L.end_ticket(ticket)
    end
    local rejected = L.make_room(op)
    if rejected then return rejected end
  end
  L.count_arrival(op)
  return L.entered(L.enter(op))
end
