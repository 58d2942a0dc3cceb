-- Guaranteed shares: what is owed to each, in its book.

L.MAX_DEBT = 10000000

function L.account(objective, tokens)
  for _, rule in ipairs(L.rules().shares) do
    if not L.book_of(rule.objective).is_new then
      local book = L.open_book(rule.objective)
      local is_own = rule.objective == objective
      local debt = book.shareDebt + rule.guaranteedSharePercent * tokens - (is_own and 100 * tokens or 0)
      if is_own and tokens > 0 then debt = math.max(debt, -100 * tokens) end
      if not L.queues_in_order().lanes[rule.objective] then debt = math.min(debt, 0) end
      book.shareDebt = math.max(-L.MAX_DEBT, math.min(L.MAX_DEBT, debt))
    end
  end
end

-- Objectives to which tokens are owed, the largest debt first.
function L.in_debt()
  local owed = {}
  for _, rule in ipairs(L.rules().shares) do
    if L.book_of(rule.objective).shareDebt > 0 then owed[#owed + 1] = rule.objective end
  end
  if #owed > 1 then
    table.sort(owed, function(a, b)
      local x, y = L.book_of(a).shareDebt, L.book_of(b).shareDebt
      if x == y then return a < b end
      return x > y
    end)
  end
  return owed
end
