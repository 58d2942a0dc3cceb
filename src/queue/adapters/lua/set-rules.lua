-- Replaces the rules; where tickets stand otherwise now, they are moved.

function handlers.setRules(op)
  local before = L.rules().by_objective
  L.set_meta('rules', cmsgpack.pack(op.rules))
  local after = L.rules().by_objective
  -- From now on nothing takes tickets out of it.
  if not L.rules().does_any_age then call('UNLINK', L.key('aging', '')) end
  local names = {}
  for name in pairs(before) do names[name] = true end
  for name in pairs(after) do names[name] = true end
  for name in pairs(names) do
    local a, b = before[name], after[name]
    local is_same = (a and a.agingMs or 0) == (b and b.agingMs or 0)
      and (a and a.paused or false) == (b and b.paused or false)
      and (a and a.guaranteedSharePercent or 0) > 0 == ((b and b.guaranteedSharePercent or 0) > 0)
    if not is_same then L.replace_all(name) end
  end
  L.assign()
  return L.OK
end
