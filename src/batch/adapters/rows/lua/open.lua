-- ARGV: rows, gate, epoch (names this life of the states). Leaves a batch that is there as it is.
if known_rows() then return 0 end
local rows = tonumber(ARGV[1])
redis.call('DEL', WORDS, TOTALS, SEGMENTS, CRASHES)
-- One write far out allocates the whole, zeroed: all pending.
if rows > 0 then redis.call('SETRANGE', WORDS, rows * WORD_BYTES - 1, '\0') end
local totals = { gate = ARGV[2] }
for _, name in ipairs(FIELDS) do totals[name] = 0 end
totals.pending = rows
write_totals(totals)
redis.call('HSET', TOTALS, 'rows', rows, 'epoch', ARGV[3])
return 1
