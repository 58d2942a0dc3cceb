-- Room for a held call that has to wait: stored work of lower bands does not count against it, and sheddable held calls
-- of lower bands are pushed out.

L.MAX_DISPLACED = 16

-- The priority of the lowest band below `below` and above `above` with something in its sets, and those sets' keys.
function L.lowest_band(below, kind, above)
  local lowest, sets
  for _, name in ipairs(L.objective_names()) do
    local priority = L.book_of(name).priority
    local key = L.key(kind, name)
    if priority > above and priority < below and priority <= (lowest or priority) and L.size_of('ZCARD', key) > 0 then
      if priority ~= lowest then lowest, sets = priority, {} end
      sets[#sets + 1] = key
    end
  end
  return lowest, sets or {}
end

function L.newest(sets, limit)
  local entries = {}
  for _, key in ipairs(sets) do
    local page = call('ZREVRANGE', key, 0, limit - 1, 'WITHSCORES')
    for i = 1, #page, 2 do entries[#entries + 1] = { id = page[i], score = tonumber(page[i + 1]) } end
  end
  table.sort(entries, function(a, b)
    if a.score ~= b.score then return a.score > b.score end
    return a.id > b.id
  end)
  local tickets = {}
  for i = 1, math.min(limit, #entries) do tickets[i] = L.load_ticket(entries[i].id) end
  return tickets
end

function L.sheddable(priority)
  local tickets, above = {}, -math.huge
  while #tickets < L.MAX_DISPLACED do
    local band, sets = L.lowest_band(math.min(priority, 0), 'held:', above)
    if not band then break end
    for _, ticket in ipairs(L.newest(sets, L.MAX_DISPLACED - #tickets)) do tickets[#tickets + 1] = ticket end
    above = band
  end
  return tickets
end

-- Why there is no room; nil = there is.
function L.make_room(op)
  local pool = L.pool_usage(nil)
  local own = L.own_refusal(op, pool)
  if own then return own end
  local refused = L.pool_refusal(op, pool)
  if not refused then return nil end

  local counted = L.pool_usage(op.priority)
  if not L.pool_refusal(op, counted) then
    local _, sets = L.lowest_band(op.priority, 'intake:', -math.huge)
    for _, ticket in ipairs(L.newest(sets, 1)) do L.evict(ticket, 'handed_back') end
    return nil
  end
  local victims = {}
  for i, ticket in ipairs(L.sheddable(op.priority)) do
    victims[i] = ticket
    counted.requests = counted.requests - 1
    counted.bytes = counted.bytes - ticket[BYTES]
    if not L.pool_refusal(op, counted) then
      for _, victim in ipairs(victims) do L.evict(victim, 'displaced') end
      return nil
    end
  end
  return refused
end
