-- The ledger of one pool, part 1: one turn, its clock, its caches and what it writes when it ends.
-- The files of this folder are joined by ledger-library.ts, this one first and execute.lua last; each mirrors the
-- TypeScript file of its name in src/queue/policy/ledger, which is the specification and has the explanations.
--
-- keys[1]: the pool's `meta` key. Every other key has the same prefix and hash tag; docs/queue.md lists them.
-- args[1]: the TurnRequest as JSON. args[2]: the time in microseconds, '' = Redis TIME (only tests give one).
-- RETURNS: the TurnResult as JSON; empty arrays read as {}.
-- COST: one turn loads what its operations touch once, and writes tickets, books and meta once at its end.
--
-- Redis loads this as a function library, so what follows is defined once and `L.begin` sets it up for each turn. A
-- server without functions (before 7.0) is sent the same text as a script, which defines everything anew for each turn.

-- Functions, and handlers by operation name.
local L = {}
local handlers = {}
-- Of the present turn: the server's `call`, the prefix of all keys, the request and its owner, the time.
local call, P, meta_key, request, owner, now_us, now_ms
-- What the present turn has read and will write.
local T
-- A ticket is the list that is packed (tickets.lua); EXCLUDED is a list of endpoint ids, or false.
local ID, KIND, OBJECTIVE, PRIORITY, CLASS_KEY, BYTES, COST_TOKENS, EXPIRES_AT_MS = 1, 2, 3, 4, 5, 6, 7, 8
local TAG, QUEUED_AT_MS, OWNER, STATE, ENDPOINT_ID = 9, 10, 11, 12, 13
local EXCLUDED, ATTEMPT, TOKEN, SINCE_MS = 14, 15, 16, 17
local FAIRNESS_ID, WEIGHT, MAX_CONCURRENCY, DEADLINE_MS = 18, 19, 20, 21
local BAND, LANE, IS_OVERFLOW, CHARGED_TOKENS = 22, 23, 24, 25
-- The demand of one job, packed; what follows COST_TOKENS_OF may be absent.
local OBJECTIVE_OF, BYTES_OF, COST_TOKENS_OF, ANNOUNCED, DUE_BUCKET_MS, TENANT_OF = 1, 2, 3, 4, 5, 6
-- Whole keys made so far, prefix -> kind -> name -> key, and how many: they outlive the turn where functions do.
local keys_made, count_of_keys = {}, 0

function L.begin(keys, args)
  call = redis.call
  meta_key = keys[1]
  P = string.sub(meta_key, 1, -5)
  request = cjson.decode(args[1])
  owner = request.owner
  now_us = tonumber(args[2])
  if not now_us then
    local t = call('TIME')
    now_us = t[1] * 1000000 + t[2]
  end
  now_ms = math.floor(now_us / 1000)
  T = {
    -- Scalars of the ledger, and the names of those that changed.
    meta = nil, changed_meta = {},
    -- Read once a turn, nil = not yet: objective -> book, key -> size of a set, ticket id -> ticket (false =
    -- there is none), owner -> whether it can be offered something, band -> {vt, waiting}, the queues in their order.
    books = {}, objectives = nil, sizes = {}, tickets = {}, offerable = {}, bands = nil, queues = nil,
    -- The ticket being admitted and its owner's ranking; tickets that may still be moved aside.
    entering = nil, moves_left = L.MAX_MOVES_PER_TURN, placings_left = L.MAX_PLACINGS_PER_TURN,
    -- What fairness ids have, by hash.
    usages = { ['tenants-held'] = {}, ['tenants-stored'] = {} },
    -- Ids of tickets to write and to delete.
    changed_tickets = {}, ended = {},
    -- Endpoints by id (false = there is none), all in their order, whether they changed, and whether no open one is
    -- known to have a free slot.
    endpoint_by_id = {}, endpoints = nil, are_endpoints_dirty = false, is_full = false,
    -- Told when the turn ends: to the caller; owner -> {offers, evictions}; hint -> true.
    grants = {}, mail = {}, hints = {},
    -- The caller has left; nothing more is done for it.
    has_left = false,
  }
  L.load_meta()
end

-- Replies that say no more.
L.OK = { kind = 'ok' }
L.GONE = { kind = 'gone' }

-- Stamps have 16 digits, which neither `..` nor cjson keeps.
function L.stamp_text(stamp) return string.format('%.0f', stamp) end

function L.load_meta()
  local v = call('HMGET', meta_key, 'incarnation', 'runId', 'stamp', 'activityEpoch', 'recoverUntilMs', 'soonSlots',
    'isAssignOwed', 'timing', 'rules', 'queuedRequests', 'queuedBytes', 'isReplacing', 'stoppedMs', 'stoppedSinceMs',
    'paused')
  T.meta = {
    incarnation = v[1] or '', runId = v[2] or '', stamp = tonumber(v[3] or 0), activityEpoch = tonumber(v[4] or 0),
    recoverUntilMs = tonumber(v[5] or 0), soonSlots = tonumber(v[6] or 0), isAssignOwed = v[7] == '1',
    timing = v[8], rules = v[9], queuedRequests = tonumber(v[10] or 0), queuedBytes = tonumber(v[11] or 0),
    isReplacing = v[12] == '1', stoppedMs = tonumber(v[13] or 0), stoppedSinceMs = tonumber(v[14] or 0), paused = v[15],
  }
end

function L.set_meta(field, value)
  if T.meta[field] == value then return end
  T.meta[field] = value
  T.changed_meta[field] = true
end

function L.save_meta()
  local values = {}
  for field in pairs(T.changed_meta) do
    local value = T.meta[field]
    values[#values + 1] = field
    values[#values + 1] = type(value) == 'boolean' and (value and '1' or '0') or value
  end
  if #values > 0 then call('HSET', meta_key, unpack(values)) end
end

function L.next_stamp()
  L.set_meta('stamp', math.max(T.meta.stamp + 1, now_us))
  return T.meta.stamp
end

function L.is_recovering() return T.meta.recoverUntilMs > 0 end

-- The durations that the last `open` brought.
function L.timing()
  if not T.timing then
    local v = cmsgpack.unpack(T.meta.timing)
    T.timing =
      { offerMs = v[1], deadOwnerMs = v[2], quarantineCapMs = v[3], recoveryMs = v[4], outcomeRetentionMs = v[5] }
  end
  return T.timing
end

function L.set_timing(t)
  T.timing = t
  L.set_meta('timing',
    cmsgpack.pack({ t.offerMs, t.deadOwnerMs, t.quarantineCapMs, t.recoveryMs, t.outcomeRetentionMs }))
end

-- Bands: `bands` band -> packed {virtual time, tickets in its lines}.
function L.band_list()
  if not T.bands then
    T.bands = {}
    local flat = call('HGETALL', L.key('bands', ''))
    for i = 1, #flat, 2 do
      local r = cmsgpack.unpack(flat[i + 1])
      T.bands[tonumber(flat[i])] = { vt = r[1], waiting = r[2], is_open = false }
    end
  end
  return T.bands
end

function L.band_of(number)
  local bands = L.band_list()
  if not bands[number] then bands[number] = { vt = 0, waiting = 0, is_open = false } end
  return bands[number]
end

-- The band, to be changed by the caller.
function L.open_band(number)
  local band = L.band_of(number)
  band.is_open = true
  return band
end

function L.save_bands()
  for number, band in pairs(T.bands or {}) do
    if band.is_open then call('HSET', L.key('bands', ''), number, cmsgpack.pack({ band.vt, band.waiting })) end
  end
end

-- Books: the totals of each objective, packed; the set `objectives` names them.
function L.book_of(objective)
  local book = T.books[objective]
  if book then return book end
  local packed = call('GET', L.key('book:', objective))
  local r = packed and cmsgpack.unpack(packed) or { 0, 0, 0, 0, 0, 0, 0, 0, 0 }
  book = {
    is_new = not packed, is_open = false,
    priority = r[1], heldBytes = r[2], heldCostTokens = r[3], storedBytes = r[4], storedCostTokens = r[5],
    arrivedTotal = r[6], releasedTotal = r[7], slotMsTotal = r[8], settledTotal = r[9],
    releasedCostTokensTotal = r[10] or 0, slots = r[11] or 0, lastArrivedAtMs = r[12] or 0, shareDebt = r[13] or 0,
  }
  T.books[objective] = book
  return book
end

-- The book, to be changed by the caller.
function L.open_book(objective)
  local book = L.book_of(objective)
  book.is_open = true
  if book.is_new then
    book.is_new = false
    call('SADD', P .. 'objectives', objective)
    T.objectives = nil
  end
  return book
end

function L.add_book(objective, field, amount)
  local book = L.open_book(objective)
  book[field] = book[field] + amount
end

function L.save_books()
  for objective, b in pairs(T.books) do
    if b.is_open then
      call('SET', L.key('book:', objective), cmsgpack.pack({
        b.priority, b.heldBytes, b.heldCostTokens, b.storedBytes, b.storedCostTokens,
        b.arrivedTotal, b.releasedTotal, b.slotMsTotal, b.settledTotal, b.releasedCostTokensTotal,
        b.slots, b.lastArrivedAtMs, b.shareDebt,
      }))
    end
  end
end

function L.objective_names()
  T.objectives = T.objectives or call('SMEMBERS', P .. 'objectives')
  return T.objectives
end

-- A whole key. Building one costs more than the command that uses it, so they are kept.
L.MAX_KEYS_KEPT = 10000

function L.key(kind, name)
  local kinds = keys_made[P]
  if not kinds then
    kinds = {}
    keys_made[P] = kinds
  end
  local names = kinds[kind]
  if not names then
    names = {}
    kinds[kind] = names
  end
  local key = names[name]
  if not key then
    if count_of_keys >= L.MAX_KEYS_KEPT then keys_made, count_of_keys = {}, 0 end
    key = P .. kind .. name
    names[name] = key
    count_of_keys = count_of_keys + 1
  end
  return key
end

-- Sizes of sets and sorted sets: asked once a turn, and kept in step by whoever changes them.
function L.size_of(command, key)
  local size = T.sizes[key]
  if not size then
    size = call(command, key)
    T.sizes[key] = size
  end
  return size
end

-- Runs a command that answers how many members came or, with sign -1, went.
function L.resize(sign, command, key, ...)
  local change = call(command, key, ...)
  local size = T.sizes[key]
  if size then T.sizes[key] = size + sign * change end
end

function L.mail_of(to)
  local box = T.mail[to]
  if not box then
    box = { offers = {}, evictions = {} }
    T.mail[to] = box
  end
  return box
end

function L.tell_offer(to, offer) table.insert(L.mail_of(to).offers, offer) end
function L.tell_eviction(to, id, reason) table.insert(L.mail_of(to).evictions, { id = id, reason = reason }) end
