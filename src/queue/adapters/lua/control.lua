-- An operator's pauses, kept through incarnations.

function L.paused_names()
  local names = {}
  for objective in pairs(L.paused()) do names[#names + 1] = objective end
  return names
end

function handlers.setPaused(op)
  local was_paused = L.is_paused(op.objective)
  local names = L.paused_names()
  if L.paused()[op.objective] then
    for i, name in ipairs(names) do
      if name == op.objective then table.remove(names, i) break end
    end
  end
  if op.paused then names[#names + 1] = op.objective end
  table.sort(names)
  L.set_meta('paused', cmsgpack.pack(names))
  if L.is_paused(op.objective) == was_paused then return L.OK end
  L.replace_all(op.objective)
  T.hints.windows = true
  L.assign()
  return L.OK
end

function handlers.paused()
  return { kind = 'paused', objectives = L.paused_names() }
end
