-- A ticket as `admit` and `reassert` begin it, from what its owner says of it.

function L.new_ticket(op, tag, queued_at_ms, endpoint_id, excluded, attempt, since_ms)
  local deadline_ms = op.deadlineMs or 0
  local expires_at_ms = L.kept_expiry(op.expiresAtMs, op.expiryStops)
  return {
    op.id, op.kind, op.objective, op.priority, op.classKey, op.bytes, op.costTokens, expires_at_ms,
    tag, queued_at_ms, owner, 'waiting', endpoint_id, excluded, attempt, '', since_ms,
    op.fairnessId or '', op.weight or 1, op.maxConcurrency or 0,
    deadline_ms > 0 and deadline_ms or math.max(0, expires_at_ms), op.priority, '', false, 0,
  }
end
