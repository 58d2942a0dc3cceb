-- Tickets that stand elsewhere now. `replacing` arrival index -> the tag up to which its tickets were put in place anew.

L.MAX_AGED = 64
L.MAX_REPLACED = 256
L.MAX_MOVES_PER_TURN = 512
L.MAX_PLACINGS_PER_TURN = 512

function L.replace_all(objective)
  for _, index in ipairs({ 'held:', 'intake:' }) do
    call('HSET', L.key('replacing', ''), index .. objective, 0)
  end
  L.set_meta('isReplacing', true)
end

function L.replace(ticket)
  L.unplace(ticket)
  L.place(ticket)
  L.touch(ticket)
end

function L.replace_some()
  if not T.meta.isReplacing then return end
  local left = math.min(L.MAX_REPLACED, T.placings_left)
  local names = call('HKEYS', L.key('replacing', ''))
  table.sort(names)
  for _, name in ipairs(names) do
    if left <= 0 then break end
    local cursor = call('HGET', L.key('replacing', ''), name)
    local flat = call('ZRANGEBYSCORE', P .. name, '(' .. cursor, '+inf', 'WITHSCORES', 'LIMIT', 0, left)
    local ids = {}
    for i = 1, #flat, 2 do ids[#ids + 1] = flat[i] end
    local is_full, last = #ids == left, flat[#flat]
    if is_full then
      -- And all that came at the same instant as the last.
      local known = {}
      for _, id in ipairs(ids) do known[id] = true end
      for _, id in ipairs(call('ZRANGEBYSCORE', P .. name, last, last)) do
        if not known[id] then ids[#ids + 1] = id end
      end
    end
    for _, id in ipairs(ids) do
      local ticket = L.load_ticket(id)
      if ticket then L.replace(ticket) end
    end
    if is_full then
      call('HSET', L.key('replacing', ''), name, last)
    else
      call('HDEL', L.key('replacing', ''), name)
    end
    left = left - #ids
    T.placings_left = T.placings_left - #ids
  end
  L.set_meta('isReplacing', call('EXISTS', L.key('replacing', '')) == 1)
end

function L.age_some()
  if not L.rules().does_any_age or T.placings_left <= 0 then return end
  local limit = math.min(L.MAX_AGED, T.placings_left)
  local ids = call('ZRANGEBYSCORE', L.key('aging', ''), '-inf', now_ms, 'LIMIT', 0, limit)
  T.placings_left = T.placings_left - #ids
  for _, id in ipairs(ids) do
    local ticket = L.load_ticket(id)
    call('ZREM', L.key('aging', ''), id)
    if ticket then
      L.unplace(ticket)
      ticket[BAND] = L.aged_band(ticket[BAND])
      L.place(ticket)
      L.touch(ticket)
    end
  end
end
