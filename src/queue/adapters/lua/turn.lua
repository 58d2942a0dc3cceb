-- The ledger of one pool, part 1: one turn, its clock, its caches and what it writes when it ends.
-- All files of this folder are joined into one script in the order that redis-ledger-store.ts lists; each mirrors the
-- TypeScript file of its name in src/queue/policy/ledger, which is the specification and has the explanations.
--
-- KEYS[1]: the pool's `meta` key. Every other key has the same prefix and hash tag; docs/queue.md lists them.
-- ARGV[1]: the TurnRequest as JSON. ARGV[2]: the time in microseconds, '' = Redis TIME (only tests give one).
-- RETURNS: the TurnResult as JSON; empty arrays read as {}.
-- COST: one turn loads what its operations touch once, and writes tickets, books and meta once at its end.

local call = redis.call
local P = string.sub(KEYS[1], 1, -5)

local request = cjson.decode(ARGV[1])
local owner = request.owner
local timing = request.timing
local ops = request.ops

local function clock_us()
  if ARGV[2] ~= '' then return tonumber(ARGV[2]) end
  local t = call('TIME')
  return t[1] * 1000000 + t[2]
end
local now_us = clock_us()
local now_ms = math.floor(now_us / 1000)

-- Stamps have 16 digits, which neither `..` nor cjson keeps.
local function stamp_text(stamp) return string.format('%.0f', stamp) end

-- Meta: the scalars of the ledger.
local META = { 'incarnation', 'runId', 'stamp', 'activityEpoch', 'recoverUntilMs', 'soonSlots', 'isAssignOwed' }
local function load_meta()
  local v = call('HMGET', KEYS[1], unpack(META))
  return {
    incarnation = v[1] or '', runId = v[2] or '', stamp = tonumber(v[3] or 0), activityEpoch = tonumber(v[4] or 0),
    recoverUntilMs = tonumber(v[5] or 0), soonSlots = tonumber(v[6] or 0), isAssignOwed = v[7] == '1',
  }
end
local meta = load_meta()
local is_meta_dirty = false

local function set_meta(field, value)
  if meta[field] == value then return end
  meta[field] = value
  is_meta_dirty = true
end

local function save_meta()
  if not is_meta_dirty then return end
  call('HSET', KEYS[1], 'incarnation', meta.incarnation, 'runId', meta.runId, 'stamp', stamp_text(meta.stamp),
    'activityEpoch', meta.activityEpoch, 'recoverUntilMs', meta.recoverUntilMs, 'soonSlots', meta.soonSlots,
    'isAssignOwed', meta.isAssignOwed and '1' or '0')
end

local function next_stamp()
  set_meta('stamp', math.max(meta.stamp + 1, now_us))
  return meta.stamp
end

local function is_recovering() return meta.recoverUntilMs > 0 end

-- Books: totals of each objective, one hash each; the set `objectives` names them.
local BOOK = { 'priority', 'heldBytes', 'heldCostTokens', 'storedBytes', 'storedCostTokens',
  'arrivedTotal', 'releasedTotal', 'slotMsTotal', 'settledTotal' }
local books = {}

local function book_of(objective)
  local book = books[objective]
  if book then return book end
  local values = call('HMGET', P .. 'book:' .. objective, unpack(BOOK))
  book = { is_new = not values[1], is_dirty = false }
  for i, field in ipairs(BOOK) do book[field] = tonumber(values[i] or 0) end
  books[objective] = book
  return book
end

local function set_book(objective, field, value)
  local book = book_of(objective)
  book[field] = value
  book.is_dirty = true
end

local function add_book(objective, field, amount)
  set_book(objective, field, book_of(objective)[field] + amount)
end

local function save_books()
  for objective, book in pairs(books) do
    if book.is_dirty then
      if book.is_new then call('SADD', P .. 'objectives', objective) end
      local values = {}
      for _, field in ipairs(BOOK) do
        values[#values + 1] = field
        values[#values + 1] = book[field]
      end
      call('HSET', P .. 'book:' .. objective, unpack(values))
      book.is_new = false
      book.is_dirty = false
    end
  end
end

local function objective_names()
  save_books()
  return call('SMEMBERS', P .. 'objectives')
end

-- Sizes of sets and sorted sets, asked once a turn and kept in step by whoever changes them.
local sizes = {}

local function size_of(command, key)
  local size = sizes[key]
  if not size then
    size = call(command, P .. key)
    sizes[key] = size
  end
  return size
end

local function resize(key, change)
  if sizes[key] then sizes[key] = sizes[key] + change end
end

local function zset_add(key, score, member) resize(key, call('ZADD', P .. key, score, member)) end
local function zset_remove(key, member)
  local removed = call('ZREM', P .. key, member)
  resize(key, -removed)
  return removed == 1
end
local function set_add(key, member) resize(key, call('SADD', P .. key, member)) end
local function set_remove(key, member)
  local removed = call('SREM', P .. key, member)
  resize(key, -removed)
  return removed == 1
end

-- Mail to owners and hints to the pool, sent when the turn ends.
local mail = {}
local hints = {}

local function mail_of(to)
  local box = mail[to]
  if not box then
    box = { offers = {}, evictions = {} }
    mail[to] = box
  end
  return box
end

local function tell_offer(to, offer) table.insert(mail_of(to).offers, offer) end
local function tell_eviction(to, id, reason) table.insert(mail_of(to).evictions, { id = id, reason = reason }) end

-- Handlers by operation name.
local handlers = {}
