-- What fairness ids have: `tenants-held` and `tenants-stored`, fairness id -> "<requests> <bytes>", read once a turn and
-- written at its end.

function L.usage_in(hash, fairness_id)
  local usages = T.usages[hash]
  local usage = usages[fairness_id]
  if not usage then
    local text = call('HGET', P .. hash, fairness_id)
    local requests, bytes = string.match(text or '0 0', '^(%d+) (%d+)$')
    usage = { requests = tonumber(requests), bytes = tonumber(bytes), is_changed = false }
    usages[fairness_id] = usage
  end
  return usage
end

function L.add_usage(hash, fairness_id, sign, bytes)
  if fairness_id == '' then return end
  local usage = L.usage_in(hash, fairness_id)
  usage.requests = usage.requests + sign
  usage.bytes = usage.bytes + sign * bytes
  usage.is_changed = true
end

function L.tenant_usage(fairness_id)
  local held, stored = L.usage_in('tenants-held', fairness_id), L.usage_in('tenants-stored', fairness_id)
  return held.requests + stored.requests, held.bytes + stored.bytes
end

function L.save_usages()
  for hash, usages in pairs(T.usages) do
    for fairness_id, usage in pairs(usages) do
      if usage.is_changed and usage.requests == 0 then
        call('HDEL', P .. hash, fairness_id)
      elseif usage.is_changed then
        call('HSET', P .. hash, fairness_id, L.stamp_text(usage.requests) .. ' ' .. L.stamp_text(usage.bytes))
      end
    end
  end
end
