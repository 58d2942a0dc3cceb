-- KEYS[1]: the least format that a reader must know. ARGV[1]: the one that the caller knows; ARGV[2]: the one that it writes.
-- RETURNS: what is needed. Raised to what the caller writes, unless it is above what the caller knows.
local needed = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
if needed <= tonumber(ARGV[1]) and needed < tonumber(ARGV[2]) then
  needed = tonumber(ARGV[2])
  redis.call('SET', KEYS[1], ARGV[2])
end
return needed
