-- Takes a right that nobody holds, or renews it; who knows takes it from one whose knowledge is old ("old OWNER").
-- KEYS: right. ARGV: owner, heldMs, knowledge ('live' | 'old'). RETURNS: 1 when it is the owner's now, else 0. O(1).
local holder = redis.call('GET', KEYS[1])
local old = 'old ' .. ARGV[1]
local is_others = holder and holder ~= ARGV[1] and holder ~= old
local may_take = is_others and ARGV[3] == 'live' and string.sub(holder, 1, 4) == 'old '
if is_others and not may_take then
  return 0
end
redis.call('SET', KEYS[1], ARGV[3] == 'live' and ARGV[1] or old, 'PX', ARGV[2])
return 1
