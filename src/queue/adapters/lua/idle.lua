-- Closes every gate for 1 -> 0, if nothing is left and nothing came since the caller looked. What gateways of a former
-- format have is not in this order, so the pool stays while one of them lives.

function L.has_former_owners()
  local former = L.first_format()
  return former ~= P and call('ZCOUNT', former .. 'owners', '(' .. (now_ms - L.timing().deadOwnerMs), '+inf') > 0
end

function handlers.closeIfIdle(op)
  L.save_tickets()
  local left = call('HLEN', P .. 'tickets') + call('HLEN', P .. 'demand') + call('HLEN', P .. 'bulk')
  local is_idle = left == 0 and not L.is_recovering()
  if not is_idle or T.meta.activityEpoch ~= op.activityEpoch or L.has_former_owners() then return { kind = 'idle', closed = false } end
  for _, endpoint in ipairs(L.endpoint_list()) do endpoint.gate = 'closed' end
  T.are_endpoints_dirty = true
  L.note_capacity()
  T.hints.windows = true
  return { kind = 'idle', closed = true }
end
