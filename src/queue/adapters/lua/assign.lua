-- Gives every free slot to the ticket that it is owed to. O(queues x endpoints) for each offer made.

L.MAX_OFFERS_PER_ASSIGN = 256
L.MAX_LOOKS_PER_QUEUE = 32
L.MAX_MISSED_OFFERS = 2

function L.is_offerable(to)
  local known = T.offerable[to]
  if known == nil then
    local beat_ms = tonumber(call('ZSCORE', P .. 'owners', to) or 0)
    known = beat_ms > now_ms - L.timing().deadOwnerMs
      and tonumber(call('HGET', P .. 'missed', to) or 0) < L.MAX_MISSED_OFFERS
    T.offerable[to] = known
  end
  return known
end

function L.first_offerable(queue)
  local index = 0
  for _ = 1, L.MAX_LOOKS_PER_QUEUE do
    local id = call('ZRANGE', queue.wait, index, index)[1]
    local ticket = id and L.load_ticket(id)
    if not ticket then return nil end
    if ticket[EXPIRES_AT_MS] > 0 and ticket[EXPIRES_AT_MS] <= now_ms then
      L.evict(ticket, 'expired')
    elseif L.is_offerable(ticket[OWNER]) then
      return ticket
    else
      index = index + 1
    end
  end
  return nil
end

-- The one place where shares, aging, fair tags and reserved slots belong: queues[first..last] are one band.
function L.next_ticket_of_band(list, first, last)
  local best, best_endpoint
  for i = first, last do
    local endpoint_id = L.freest(list[i].classKey, list[i].excluded)
    local ticket = endpoint_id and L.first_offerable(list[i])
    if ticket and (not best or ticket[TAG] < best[TAG]) then
      best, best_endpoint = ticket, endpoint_id
    end
  end
  return best, best_endpoint
end

function L.next_ticket()
  local list = L.queues_in_order()
  local first = 1
  while first <= #list do
    local last = first
    while list[last + 1] and list[last + 1].priority == list[first].priority do last = last + 1 end
    local ticket, endpoint_id = L.next_ticket_of_band(list, first, last)
    if ticket then return ticket, endpoint_id end
    first = last + 1
  end
  return nil
end

function L.is_without_choice(ticket, endpoint_id)
  return ticket[OWNER] == owner and L.contains(request.reach, endpoint_id)
    and not L.is_other_free(ticket[CLASS_KEY], ticket[EXCLUDED], endpoint_id)
end

function L.assign()
  if L.is_recovering() then return end
  for _ = 1, L.MAX_OFFERS_PER_ASSIGN do
    local ticket, endpoint_id = L.next_ticket()
    if not ticket then
      L.set_meta('isAssignOwed', false)
      return
    end
    if L.is_without_choice(ticket, endpoint_id) then
      L.grant(ticket, endpoint_id)
    else
      L.offer(ticket, endpoint_id)
    end
  end
  L.set_meta('isAssignOwed', true)
end
