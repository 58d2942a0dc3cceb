if not known_rows() then return false end
return reply_of(read_totals(), '')
