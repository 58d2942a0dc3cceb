-- Outcomes: `outcome:<id>`, kept for the retention time by Redis itself.

local function outcome_of(id) return call('GET', P .. 'outcome:' .. id) end
