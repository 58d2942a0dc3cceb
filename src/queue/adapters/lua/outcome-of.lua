-- Outcomes: `outcome:<id>`, kept for the retention time by Redis itself.

function L.outcome_of(id) return call('GET', P .. 'outcome:' .. id) end
