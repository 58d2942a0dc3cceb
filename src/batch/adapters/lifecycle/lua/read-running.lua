-- KEYS running · ARGV age in s beyond which an owner's number does not count. Rows over all owners.
local now = tonumber(redis.call('TIME')[1])
local sum = 0
for _, value in ipairs(redis.call('HVALS', KEYS[1])) do
  local rows, at = string.match(value, '^(%d+) (%d+)$')
  if rows and now - tonumber(at) <= tonumber(ARGV[1]) then sum = sum + tonumber(rows) end
end
return sum
