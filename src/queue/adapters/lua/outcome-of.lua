-- Outcomes: `outcome:<id>`, kept for the retention time by Redis itself. Orders of all formats have them in common,
-- under the name that the first format gave them, so that stored work has one outcome whoever runs it.

function L.first_format() return (string.gsub(P, ':f%d+:order:$', ':order:')) end

function L.outcome_key(id) return L.first_format() .. 'outcome:' .. id end

function L.outcome_of(id) return call('GET', L.outcome_key(id)) end
