-- Lets a ticket in: it runs at once on a slot owed to nobody, waits at its place, or is refused.

function L.slot_owed_to_nobody(op)
  if L.is_recovering() or T.meta.isAssignOwed then return nil end
  return L.best_ranked(op.classKey, false, op.ranking, #op.ranking)
end

function L.count_arrival(op)
  local book = L.open_book(op.objective)
  book.priority = op.priority
  if op.kind == 'held' then book.arrivedTotal = book.arrivedTotal + 1 end
  L.set_meta('activityEpoch', T.meta.activityEpoch + 1)
end

function L.arriving_ticket(op)
  local stamp = L.next_stamp()
  local tag = op.arrivedAtMs > 0 and math.min(stamp, op.arrivedAtMs * 1000) or stamp
  return L.new_ticket(op, tag, now_ms, '', false, 0, 0)
end

function L.run(ticket, endpoint_id)
  L.hold(endpoint_id, ticket[ID])
  ticket[ENDPOINT_ID] = endpoint_id
  ticket[TOKEN] = L.stamp_text(L.next_stamp())
  L.start_run(ticket)
  return { kind = 'run', endpointId = endpoint_id, token = ticket[TOKEN], tag = L.stamp_text(ticket[TAG]) }
end

function L.wait(ticket)
  L.enqueue(ticket)
  local asleep = L.open_slots() == 0
  if asleep then T.hints.wake = true end
  local position = L.position_of(ticket)
  L.assign()
  return { kind = 'queued', position = position, tag = L.stamp_text(ticket[TAG]), asleep = asleep }
end

function handlers.admit(op)
  local stored = op.kind == 'stored' and L.outcome_of(op.id)
  if stored then return { kind = 'done', stored = stored } end
  local existing = L.load_ticket(op.id)
  if existing then return { kind = 'live', owner = existing[OWNER] } end
  if op.expiresAtMs > 0 and op.expiresAtMs <= now_ms then return { kind = 'expired' } end

  local endpoint_id = L.slot_owed_to_nobody(op)
  local rejected = not endpoint_id and op.kind == 'held' and L.refusal(op.objective, op.bytes, op.limits)
  if rejected then return rejected end
  L.count_arrival(op)
  local ticket = L.arriving_ticket(op)
  L.add_ticket(ticket)
  if endpoint_id then return L.run(ticket, endpoint_id) end
  return L.wait(ticket)
end
