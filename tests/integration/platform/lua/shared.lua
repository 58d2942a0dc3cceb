local function doubled(text)
  return tonumber(text) * 2
end
