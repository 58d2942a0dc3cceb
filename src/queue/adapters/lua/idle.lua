-- Closes every gate for 1 -> 0, if nothing is left and nothing came since the caller looked.

function handlers.closeIfIdle(op)
  save_tickets()
  local is_idle = call('HLEN', P .. 'tickets') == 0 and call('HLEN', P .. 'demand') == 0 and not is_recovering()
  if not is_idle or meta.activityEpoch ~= op.activityEpoch then return { kind = 'idle', closed = false } end
  for _, endpoint in ipairs(endpoint_list()) do endpoint.gate = 'closed' end
  are_endpoints_dirty = true
  hints.windows = true
  return { kind = 'idle', closed = true }
end
