-- Rules of objectives: in `meta`, packed; kept through incarnations.

-- The last that was read and what was made of it, which outlive the turn where functions do.
local rules_read, rules_kept
local NO_RULES = { by_objective = {}, shares = {}, reserving = {}, does_any_age = false, top = -1 / 0 }

function L.read_rules(packed)
  local rules = { by_objective = {}, shares = {}, reserving = {}, does_any_age = false, top = -math.huge }
  local lines = cmsgpack.unpack(packed)
  table.sort(lines, function(a, b) return a.objective < b.objective end)
  for _, line in ipairs(lines) do
    rules.by_objective[line.objective] = line
    if line.guaranteedSharePercent > 0 then table.insert(rules.shares, line) end
    if line.reservedSlotsPercent > 0 then table.insert(rules.reserving, line) end
    rules.does_any_age = rules.does_any_age or line.agingMs > 0
    rules.top = math.max(rules.top, line.priority)
  end
  return rules
end

function L.rules()
  if not T.meta.rules then return NO_RULES end
  if rules_read ~= T.meta.rules then rules_read, rules_kept = T.meta.rules, L.read_rules(T.meta.rules) end
  return rules_kept
end

-- What operators paused: in `meta`, packed. The last that was read, as above.
local paused_read, paused_kept

-- A set.
function L.paused()
  if not T.meta.paused then return {} end
  if paused_read ~= T.meta.paused then
    paused_read, paused_kept = T.meta.paused, {}
    for _, objective in ipairs(cmsgpack.unpack(paused_read)) do paused_kept[objective] = true end
  end
  return paused_kept
end

function L.is_paused(objective)
  local rule = L.rules().by_objective[objective]
  return (rule and rule.paused) or L.paused()[objective] or false
end

function L.lane_of(objective)
  local rule = L.rules().by_objective[objective]
  return rule and rule.guaranteedSharePercent > 0 and objective or ''
end

function L.aging_ms(objective)
  local rule = L.rules().by_objective[objective]
  return rule and rule.agingMs or 0
end

function L.aged_band(band) return math.max(band, L.rules().top) end
