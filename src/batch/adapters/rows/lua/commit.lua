-- ARGV: entries, then the keys of the segments they name by index. An entry has 34 bytes: place (4), index of its
-- segment's key (2), state, attempt, offset (6), length (4), four usage counts (4 each).
local ENTRY_BYTES = 34
local STATES = { 'completed', 'failed' }
local rows = known_rows()
if not rows then return false end
local totals = read_totals()
local entries = ARGV[1]

local numbers = {}
for index = 2, #ARGV do
  local number = tonumber(redis.call('HGET', SEGMENTS, ARGV[index]) or nil)
  if not number then
    number = redis.call('HLEN', SEGMENTS) + 1
    redis.call('HSET', SEGMENTS, ARGV[index], number)
  end
  numbers[index - 2] = struct.pack('>I4', number)
end

local marks = {}
for at = 1, #entries, ENTRY_BYTES do
  local place, key, state = struct.unpack('>I4I2B', entries, at)
  if place >= rows then return redis.error_reply('ROWPLACE place ' .. place .. ' of ' .. rows .. ' rows') end
  local word = string.sub(entries, at + 6, at + 7) .. numbers[key] .. string.sub(entries, at + 8, at + 17)
  local first = place * WORD_BYTES
  local known = redis.call('GETRANGE', WORDS, first, first + WORD_BYTES - 1)
  local stands = known == word
  if string.byte(known) == 0 and totals.gate ~= 'closed' then
    redis.call('SETRANGE', WORDS, first, word)
    local name = STATES[state]
    local input, cached, output, reasoning = struct.unpack('>I4I4I4I4', entries, at + 18)
    totals.pending = totals.pending - 1
    totals[name] = totals[name] + 1
    totals.input = totals.input + input
    totals.cached = totals.cached + cached
    totals.output = totals.output + output
    totals.reasoning = totals.reasoning + reasoning
    stands = true
  end
  marks[#marks + 1] = stands and '1' or '0'
end
write_totals(totals)
return reply_of(totals, table.concat(marks))
