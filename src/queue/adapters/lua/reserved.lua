-- Free slots that tickets of a band have to leave to higher objectives.

function L.reserved_above(band)
  local reserved = 0
  for _, rule in ipairs(L.rules().reserving) do
    if rule.priority > band and not L.is_paused(rule.objective) then
      local book = L.book_of(rule.objective)
      if book.lastArrivedAtMs + rule.reservedLapseMs > now_ms then
        local wanted = math.ceil(rule.reservedSlotsPercent * L.open_slots() / 100)
        reserved = reserved + math.max(0, wanted - book.slots)
      end
    end
  end
  return reserved
end
