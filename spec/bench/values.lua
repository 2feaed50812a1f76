-- values.lua - what is sent, the same by every Lua program; floors.c,
-- peer_erlang.erl and peer_node.js make the same.

local values = {}

function values.small()
  return { id = 1, name = "abc", v = 1.5 }
end

-- Of letters, not of bytes that are no text: that they are UTF-8 is part of the
-- work of whoever cares.
function values.text()
  return ("x"):rep(1024 * 1024)
end

function values.floats()
  local floats = {}
  for i = 1, 100000 do floats[i] = i + 0.5 end
  return floats
end

function values.records()
  local records = {}
  for i = 1, 10000 do
    records[i] =
      { id = i, name = "name " .. i, flag = i % 2 == 0, score = i * 0.25 }
  end
  return records
end

return values
