-- Lets a ticket in: it runs at once on a slot owed to nobody, waits at its place, or is refused.

local function slot_owed_to_nobody(op)
  if is_recovering() or meta.isAssignOwed then return nil end
  return best_ranked({ classKey = op.classKey, excluded = {} }, op.ranking, #op.ranking)
end

local function count_arrival(op)
  set_book(op.objective, 'priority', op.priority)
  if op.kind == 'held' then add_book(op.objective, 'arrivedTotal', 1) end
  set_meta('activityEpoch', meta.activityEpoch + 1)
end

local function new_ticket(op)
  local stamp = next_stamp()
  return {
    id = op.id, kind = op.kind, objective = op.objective, priority = op.priority, classKey = op.classKey,
    bytes = op.bytes, costTokens = op.costTokens, expiresAtMs = op.expiresAtMs,
    tag = op.arrivedAtMs > 0 and math.min(stamp, op.arrivedAtMs * 1000) or stamp,
    queuedAtMs = now_ms, owner = owner, state = 'waiting', endpointId = '', excluded = {}, attempt = 0, token = 0,
    sinceMs = 0,
  }
end

local function run(ticket, endpoint_id)
  hold(endpoint_id, ticket.id)
  ticket.endpointId = endpoint_id
  ticket.token = next_stamp()
  start_run(ticket)
  return { kind = 'run', endpointId = endpoint_id, token = stamp_text(ticket.token), tag = stamp_text(ticket.tag) }
end

local function wait(ticket)
  enqueue(ticket)
  local asleep = open_slots() == 0
  if asleep then hints.wake = true end
  local position = position_of(ticket)
  assign()
  return { kind = 'queued', position = position, tag = stamp_text(ticket.tag), asleep = asleep }
end

function handlers.admit(op)
  local stored = op.kind == 'stored' and outcome_of(op.id)
  if stored then return { kind = 'done', stored = stored } end
  local existing = load_ticket(op.id)
  if existing then return { kind = 'live', owner = existing.owner } end
  if op.expiresAtMs > 0 and op.expiresAtMs <= now_ms then return { kind = 'expired' } end

  local endpoint_id = slot_owed_to_nobody(op)
  local rejected = not endpoint_id and op.kind == 'held' and refusal(op.objective, op.bytes, op.limits)
  if rejected then return rejected end
  count_arrival(op)
  local ticket = new_ticket(op)
  add_ticket(ticket)
  if endpoint_id then return run(ticket, endpoint_id) end
  return wait(ticket)
end
