-- Row states of one batch. KEYS: words, totals, segments, crashes; they share a slot.
-- A word has 16 bytes: state, attempt, segment number (4), offset in it (6), length (4), big-endian.
local WORDS, TOTALS, SEGMENTS, CRASHES = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local WORD_BYTES = 16
local FIELDS = { 'pending', 'completed', 'failed', 'expired', 'cancelled', 'input', 'cached', 'output', 'reasoning' }

-- Number of rows, or nil when this is not a batch that was opened, or not all of it is left.
local function known_rows()
  local rows = tonumber(redis.call('HGET', TOTALS, 'rows') or nil)
  if rows and redis.call('STRLEN', WORDS) == rows * WORD_BYTES then return rows end
  return nil
end

local function read_totals()
  local texts = redis.call('HMGET', TOTALS, unpack(FIELDS))
  local totals = {}
  for place, name in ipairs(FIELDS) do totals[name] = tonumber(texts[place]) end
  totals.gate = redis.call('HGET', TOTALS, 'gate')
  return totals
end

local function text_of(number) return string.format('%.0f', number) end

local function write_totals(totals)
  local pairs_of = { 'gate', totals.gate }
  for _, name in ipairs(FIELDS) do
    pairs_of[#pairs_of + 1] = name
    pairs_of[#pairs_of + 1] = text_of(totals[name])
  end
  redis.call('HSET', TOTALS, unpack(pairs_of))
end

local function reply_of(totals, first)
  local reply = { first, totals.gate }
  for _, name in ipairs(FIELDS) do reply[#reply + 1] = text_of(totals[name]) end
  return reply
end
