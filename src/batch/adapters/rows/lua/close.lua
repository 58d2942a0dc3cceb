-- ARGV: state as a number, its name, first place, how many places at most. Answers where to go on, -1 = all are done.
local BLOCK_ROWS = 1024
local rows = known_rows()
if not rows then return false end
local totals = read_totals()
totals.gate = 'closed'
local ended = string.char(tonumber(ARGV[1])) .. string.rep('\0', WORD_BYTES - 1)
local place = tonumber(ARGV[3])
local stop = math.min(rows, place + tonumber(ARGV[4]))
local closed = 0
while place < stop do
  local last = math.min(stop, place + BLOCK_ROWS) - 1
  local block = redis.call('GETRANGE', WORDS, place * WORD_BYTES, last * WORD_BYTES + WORD_BYTES - 1)
  local words = {}
  local before = closed
  for row = 0, last - place do
    local at = row * WORD_BYTES + 1
    if string.byte(block, at) == 0 then
      words[row + 1] = ended
      closed = closed + 1
    else
      words[row + 1] = string.sub(block, at, at + WORD_BYTES - 1)
    end
  end
  if closed > before then redis.call('SETRANGE', WORDS, place * WORD_BYTES, table.concat(words)) end
  place = last + 1
end
totals.pending = totals.pending - closed
totals[ARGV[2]] = totals[ARGV[2]] + closed
write_totals(totals)
return reply_of(totals, tostring(place < rows and place or -1))
