-- The key of a request path, for the paths that are not their own key already. routing.py says the same in Python,
-- and the tests hold both against each other. One pass to encode, one to decode, then the segments.

local function encode(char)
  return string.format("%%%02X", char:byte())
end

local function decode(hex)
  if #hex < 2 then
    return "%25" .. hex
  end
  local char = string.char(tonumber(hex, 16))
  if char:find("^[%w%-._~@]$") then
    return char
  end
  return "%" .. hex:upper()
end

core.register_converters("campus_key", function(path)
  path = path:gsub("[^%w%-._~@/%%]", encode):gsub("%%(%x?%x?)", decode)
  local kept, count = {}, 0
  for segment in path:gmatch("[^/]+") do
    if segment == ".." then
      if count > 0 then
        count = count - 1
      end
    elseif segment ~= "." then
      count = count + 1
      kept[count] = segment
    end
  end
  -- No route is longer than a quarter of this, and HAProxy keeps what it looks up in a buffer.
  return ("/" .. table.concat(kept, "/", 1, count) .. "/"):sub(1, 4000)
end)
