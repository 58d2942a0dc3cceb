-- Rules of objectives: in `meta`, packed; kept through incarnations.

-- The last that was read, which outlives the turn where functions do.
local rules_read, rules_kept

-- { objective -> {objective, priority, guaranteedSharePercent, agingMs, reservedSlotsPercent, reservedLapseMs, paused} }
function L.rules()
  if not T.meta.rules then return {} end
  if rules_read ~= T.meta.rules then
    rules_read, rules_kept = T.meta.rules, {}
    for _, line in ipairs(cmsgpack.unpack(rules_read)) do rules_kept[line.objective] = line end
  end
  return rules_kept
end

function handlers.setRules(op)
  L.set_meta('rules', cmsgpack.pack(op.rules))
  L.assign()
  return L.OK
end
