-- Deadlines of an objective's jobs in buckets: `due:<objective>` the buckets by time, `dues:<objective>` bucket -> packed
-- {requests, costTokens, acceptedAtMs}, and '*' -> packed {requests, costTokens} of all of them.

L.MAX_DUE_LINES = 32
L.PARTS_OF_WINDOW = 32

function L.due_bucket_ms(deadline_ms, accepted_at_ms)
  local granule_ms = 1
  while granule_ms * 2 * L.PARTS_OF_WINDOW <= deadline_ms - accepted_at_ms do granule_ms = granule_ms * 2 end
  return deadline_ms - deadline_ms % granule_ms
end

function L.unpacked(packed)
  if packed then return unpack(cmsgpack.unpack(packed)) end
end

-- Adds to the sum of all buckets; without requests left there is none.
function L.count_due(dues, requests, cost_tokens)
  local all_requests, all_tokens = L.unpacked(call('HGET', dues, '*'))
  all_requests = (all_requests or 0) + requests
  if all_requests == 0 then
    call('HDEL', dues, '*')
  else
    call('HSET', dues, '*', cmsgpack.pack({ all_requests, (all_tokens or 0) + cost_tokens }))
  end
end

-- `demand` is the unpacked record.
function L.add_due(demand, bucket_ms, accepted_at_ms)
  local dues, bucket = L.key('dues:', demand[OBJECTIVE_OF]), L.stamp_text(bucket_ms)
  local cost_tokens = demand[COST_TOKENS_OF]
  local requests, tokens, accepted = L.unpacked(call('HGET', dues, bucket))
  if not requests then call('ZADD', L.key('due:', demand[OBJECTIVE_OF]), bucket, bucket) end
  call('HSET', dues, bucket, cmsgpack.pack({
    (requests or 0) + 1, (tokens or 0) + cost_tokens, math.min(accepted or accepted_at_ms, accepted_at_ms),
  }))
  L.count_due(dues, 1, cost_tokens)
  demand[DUE_BUCKET_MS] = bucket_ms
end

function L.remove_due(demand)
  local bucket_ms = demand[DUE_BUCKET_MS]
  if not bucket_ms or bucket_ms == 0 then return end
  local dues, bucket = L.key('dues:', demand[OBJECTIVE_OF]), L.stamp_text(bucket_ms)
  local cost_tokens = demand[COST_TOKENS_OF]
  demand[DUE_BUCKET_MS] = 0
  local requests, tokens, accepted = L.unpacked(call('HGET', dues, bucket))
  if not requests then return end
  if requests == 1 then
    call('HDEL', dues, bucket)
    call('ZREM', L.key('due:', demand[OBJECTIVE_OF]), bucket)
  else
    call('HSET', dues, bucket, cmsgpack.pack({ requests - 1, tokens - cost_tokens, accepted }))
  end
  L.count_due(dues, -1, -cost_tokens)
end

function L.due_line(deadline_ms, requests, cost_tokens, accepted_at_ms)
  return { deadlineEpochMs = deadline_ms, acceptedAtEpochMs = accepted_at_ms, requests = requests,
    costTokens = cost_tokens }
end

-- The earliest buckets; the last of them gathers the rest, whose sum is that of all less the others.
function L.due_of_jobs(objective)
  local due, dues = L.key('due:', objective), L.key('dues:', objective)
  local buckets = call('ZRANGE', due, 0, L.MAX_DUE_LINES)
  if #buckets == 0 then return {} end
  local is_more = #buckets > L.MAX_DUE_LINES
  local lines = {}
  local left_requests, left_tokens = L.unpacked(call('HGET', dues, '*'))
  for i = 1, math.min(#buckets, L.MAX_DUE_LINES) do
    local requests, tokens, accepted = L.unpacked(call('HGET', dues, buckets[i]))
    local is_last = is_more and i == L.MAX_DUE_LINES
    if is_last then requests, tokens = left_requests, left_tokens end
    lines[i] = L.due_line(tonumber(buckets[i]), requests, tokens, accepted)
    left_requests, left_tokens = left_requests - requests, left_tokens - tokens
  end
  return lines
end

-- `bulks` are the unpacked records of the objective's bulks.
function L.due_lines(objective, bulks)
  local lines = L.due_of_jobs(objective)
  for _, bulk in ipairs(bulks) do
    local requests, cost_tokens, deadline_ms, accepted_at_ms = bulk[2], bulk[4], bulk[5], bulk[6]
    if deadline_ms > 0 then lines[#lines + 1] = L.due_line(deadline_ms, requests, cost_tokens, accepted_at_ms) end
  end
  table.sort(lines, function(a, b) return a.deadlineEpochMs < b.deadlineEpochMs end)
  local result = {}
  for _, line in ipairs(lines) do
    local last = result[#result]
    local is_same = last and last.deadlineEpochMs == line.deadlineEpochMs
    if is_same then last.acceptedAtEpochMs = math.min(last.acceptedAtEpochMs, line.acceptedAtEpochMs) end
    if is_same or #result == L.MAX_DUE_LINES then
      last.requests, last.costTokens = last.requests + line.requests, last.costTokens + line.costTokens
    else
      result[#result + 1] = line
    end
  end
  return result
end
