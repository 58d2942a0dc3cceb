-- Gives every free slot to the ticket that it is owed to.

L.MAX_OFFERS_PER_ASSIGN = 256

function L.is_without_choice(ticket, endpoint_id)
  return ticket[OWNER] == owner and L.contains(request.reach, endpoint_id)
    and not L.is_other_free(ticket[CLASS_KEY], ticket[EXCLUDED], endpoint_id)
end

function L.hand_out(ticket, endpoint_id, is_by_share)
  local entering = T.entering
  if entering and entering.ticket == ticket then
    local wanted = L.best_ranked(ticket[CLASS_KEY], ticket[EXCLUDED], entering.ranking, #entering.ranking)
    if wanted then
      L.run_entering(ticket, wanted, is_by_share)
    else
      L.offer(ticket, endpoint_id, is_by_share)
    end
  elseif L.is_without_choice(ticket, endpoint_id) then
    L.grant(ticket, endpoint_id, is_by_share)
  else
    L.offer(ticket, endpoint_id, is_by_share)
  end
end

function L.assign()
  if L.is_recovering() then return end
  L.age_some()
  L.replace_some()
  for _ = 1, L.MAX_OFFERS_PER_ASSIGN do
    local ticket, endpoint_id, is_by_share = L.next_ticket()
    if not ticket then
      L.set_meta('isAssignOwed', T.meta.isReplacing or T.moves_left == 0)
      return
    end
    L.hand_out(ticket, endpoint_id, is_by_share)
  end
  L.set_meta('isAssignOwed', true)
end
