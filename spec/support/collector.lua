-- collector.lua - the entry of /probe: keeps what it is sent, in order, and
-- answers a request of type "heard" once it has as many values as are asked
-- for.

return function(context)
  local heard, count = {}, 0
  local asked = {}

  local function answer()
    for i = #asked, 1, -1 do
      if count >= asked[i].content then
        table.remove(asked, i):reply(heard)
      end
    end
  end

  context:onMessage(function(value, message)
    if message.type == "heard" then
      asked[#asked + 1] = message
    else
      count = count + 1
      heard[count] = value
    end
    answer()
  end)
end
