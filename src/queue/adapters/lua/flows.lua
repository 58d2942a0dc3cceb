-- Fairness between the flows of a band. `flows:<band>` flow -> virtual time of all that are known, `idle:<band>` those
-- without a line by virtual time, `index:<queue>` those with a line there that may run, by virtual time; `tenants`
-- fairness id -> slots that tickets with a limit hold; `capped` flow -> packed list of the queues whose index it left.

L.MAX_FLOWS_PER_BAND = 10000
L.OVERFLOW = '\n*'
L.MAX_LAG = 20000000
L.MAX_PRUNED = 256
L.MAX_CHARGED_TOKENS = 1000000

function L.flow_of(ticket) return ticket[IS_OVERFLOW] and L.OVERFLOW or ticket[FAIRNESS_ID] end
function L.flows_key(band) return L.key('flows:', band) end
function L.idle_key(band) return L.key('idle:', band) end
function L.line_key(queue_key, flow) return P .. 'wait:' .. queue_key .. '\n\n' .. flow end
function L.units(tokens, weight) return math.floor(tokens * 1000 / weight) end
function L.time_of(band, flow) return tonumber(call('HGET', L.flows_key(band), flow) or nil) end
function L.save_time(band, flow, time) call('HSET', L.flows_key(band), flow, L.stamp_text(time)) end

-- Returns the flow's virtual time.
function L.join_flow(ticket)
  local band = ticket[BAND]
  ticket[IS_OVERFLOW] = false
  local time = L.time_of(band, ticket[FAIRNESS_ID])
  if not time and call('HLEN', L.flows_key(band)) >= L.MAX_FLOWS_PER_BAND then
    L.prune_idle_flows(band)
    ticket[IS_OVERFLOW] = call('HLEN', L.flows_key(band)) >= L.MAX_FLOWS_PER_BAND
      and not L.is_at_limit(ticket[FAIRNESS_ID], ticket[MAX_CONCURRENCY])
    if ticket[IS_OVERFLOW] then time = L.time_of(band, L.OVERFLOW) end
  end
  local flow = L.flow_of(ticket)
  if not time then
    time = L.band_of(band).vt
    L.save_time(band, flow, time)
  elseif call('ZREM', L.idle_key(band), flow) == 1 and time < L.band_of(band).vt then
    time = L.band_of(band).vt
    L.save_time(band, flow, time)
  end
  return time
end

-- The queues from whose index the flow was taken.
function L.capped_of(flow)
  if L.size_of('HLEN', L.key('capped', '')) == 0 then return {} end
  local packed = call('HGET', L.key('capped', ''), flow)
  return packed and cmsgpack.unpack(packed) or {}
end

function L.save_capped(flow, keys)
  if #keys == 0 then
    L.resize(-1, 'HDEL', L.key('capped', ''), flow)
  else
    L.resize(1, 'HSET', L.key('capped', ''), flow, cmsgpack.pack(keys))
  end
end

function L.has_line(queue, band, flow)
  return queue.band == band and call('EXISTS', L.line_key(queue.key, flow)) == 1
end

function L.leave_flow(band, flow)
  for _, queue in ipairs(L.queues_in_order()) do
    if L.has_line(queue, band, flow) then return end
  end
  for _, key in ipairs(L.capped_of(flow)) do
    if L.has_line(L.parse_queue(key), band, flow) then return end
  end
  call('ZADD', L.idle_key(band), L.time_of(band, flow), flow)
end

function L.serve(ticket, is_by_share)
  local flow, number = L.flow_of(ticket), ticket[BAND]
  local band = L.band_of(number)
  local known = L.time_of(number, flow)
  local time = math.max(known or 0, band.vt - L.MAX_LAG)
  if not is_by_share and time > band.vt then L.open_band(number).vt = time end
  ticket[CHARGED_TOKENS] = math.max(1, math.min(L.MAX_CHARGED_TOKENS, ticket[COST_TOKENS]))
  local has_line = known and (T.sizes[L.line_key(L.queue_key(ticket), flow)] or 0) > 0
  L.set_time(number, flow, time + L.units(ticket[CHARGED_TOKENS], ticket[WEIGHT]), known, has_line)
end

function L.recharge(ticket, tokens)
  local charged = math.min(L.MAX_CHARGED_TOKENS, tokens)
  local change = L.units(charged, ticket[WEIGHT]) - L.units(ticket[CHARGED_TOKENS], ticket[WEIGHT])
  ticket[CHARGED_TOKENS] = charged
  L.touch(ticket)
  if change == 0 then return end
  local flow, number = L.flow_of(ticket), ticket[BAND]
  local known = L.time_of(number, flow)
  L.set_time(number, flow, (known or L.band_of(number).vt) + change, known)
end

function L.prune_idle_flows(number)
  local until_time = L.stamp_text(L.band_of(number).vt)
  local idle = call('ZRANGEBYSCORE', L.idle_key(number), '-inf', until_time, 'LIMIT', 0, L.MAX_PRUNED)
  if #idle == 0 then return end
  call('ZREM', L.idle_key(number), unpack(idle))
  call('HDEL', L.flows_key(number), unpack(idle))
end

function L.add_to_index(queue_key, band, flow, time)
  L.resize(1, 'ZADD', L.key('index:', queue_key), time, flow)
  if not (T.queues and T.queues.by_key[queue_key]) then
    L.resize(1, 'ZADD', L.key('queues', ''), -band, queue_key)
    T.queues = nil
  end
end

function L.drop_from_index(queue_key, flow)
  local index = L.key('index:', queue_key)
  L.resize(-1, 'ZREM', index, flow)
  if L.size_of('ZCARD', index) > 0 then return end
  L.resize(-1, 'ZREM', L.key('queues', ''), queue_key)
  T.queues = nil
end

function L.cap_flow(queue_key, flow)
  L.drop_from_index(queue_key, flow)
  local keys = L.capped_of(flow)
  if not L.contains(keys, queue_key) then table.insert(keys, queue_key) end
  L.save_capped(flow, keys)
end

function L.uncap_flow(flow)
  local keys = L.capped_of(flow)
  if #keys == 0 then return end
  L.save_capped(flow, {})
  for _, key in ipairs(keys) do
    if call('EXISTS', L.line_key(key, flow)) == 1 then
      local band = L.parse_queue(key).band
      local known = L.time_of(band, flow)
      local time = math.max(known or 0, L.band_of(band).vt)
      L.set_time(band, flow, time, known)
      L.add_to_index(key, band, flow, time)
    end
  end
end

-- `is_known`: what `time_of` says. `has_line`: it is known to have one.
function L.set_time(band, flow, time, is_known, has_line)
  local is_waiting = has_line or (is_known and not call('ZSCORE', L.idle_key(band), flow))
  if not is_waiting and time <= L.band_of(band).vt then
    if is_known then
      call('HDEL', L.flows_key(band), flow)
      call('ZREM', L.idle_key(band), flow)
    end
    return
  end
  L.save_time(band, flow, time)
  if not is_waiting then
    call('ZADD', L.idle_key(band), time, flow)
    return
  end
  for _, queue in ipairs(L.queues_in_order()) do
    if queue.band == band then call('ZADD', queue.index, 'XX', time, flow) end
  end
end
