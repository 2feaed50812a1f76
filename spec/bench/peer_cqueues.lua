-- peer_cqueues.lua - lua-cqueues' runner: threads with a socket each.
--
--   lua5.4 peer_cqueues.lua PROGRAM SECONDS
--
-- Prints "measurement value unit". A socket carries bytes only, so integers go
-- as lines, tables as lua-cjson's text. There is no ring: a thread knows but
-- the one that started it.

local cqueues = require "cqueues"
local thread = require "cqueues.thread"
local clock = require "clock"
local meter = require "meter"
local values = require "values"

local now = clock.now
local program, seconds = arg[1], tonumber(arg[2])

local function start(role, ...)
  local started, socket = assert(thread.start(role, ...))
  return socket, started
end

-- --- Round trips ------------------------------------------------------------

local function echo(socket)
  for line in socket:lines() do socket:write(tonumber(line), "\n") end
end

local function trip(socket, value)
  socket:write(value, "\n")
  return tonumber(socket:read "*l")
end

local function pingpong()
  local socket, measure = start(echo), meter(seconds)
  local trips, each = 0
  repeat
    for i = 1, 100 do assert(trip(socket, i) == i) end
    trips = trips + 100
    each = measure(trips)
  until each
  print("pingpong", each * 1e6, "us")
end

local function cold()
  local socket, times = start(echo), {}
  for i = 1, seconds / 0.02 do
    cqueues.sleep(0.02)
    local sent = now()
    trip(socket, 1)
    times[i] = now() - sent
  end
  table.sort(times)
  print("cold", times[#times // 2 + 1] * 1e6, "us")
end

-- --- Streams ----------------------------------------------------------------

local function sendIntegers(socket)
  socket:setmode("b", "bf")
  for line in socket:lines() do
    for i = 1, tonumber(line) do socket:write(i, "\n") end
    socket:flush()
  end
end

local function sendTables(socket)
  local encode = require "cjson".encode
  local value = require "values".small()
  socket:setmode("b", "bf")
  for line in socket:lines() do
    for _ = 1, tonumber(line) do socket:write(encode(value), "\n") end
    socket:flush()
  end
end

local function sendText(socket)
  local text = require "values".text()
  socket:setmode("b", "bf")
  for line in socket:lines() do
    for _ = 1, tonumber(line) do socket:write(text) end
    socket:flush()
  end
end

-- The first fifth of the messages warms up.
local function stream(sender, senderCount, parse)
  local sockets, handled = {}, 0
  for i = 1, senderCount do sockets[i] = start(sender) end
  local function handle(value)
    if value ~= nil then handled = handled + 1 end
  end
  local function order(count)
    handled = 0
    local loop = cqueues.new()
    for _, socket in ipairs(sockets) do
      loop:wrap(function()
        socket:write(count // senderCount, "\n")
        for _ = 1, count // senderCount do handle(parse(socket:read "*l")) end
      end)
    end
    local begin = now()
    assert(loop:loop())
    assert(handled == count)
    return count / (now() - begin)
  end
  order(seconds * 2e6 // 20 * 4 | 0)
  print(program, order(seconds * 2e6 // 4 * 4 | 0) / 1e6, "M/s")
end

local function text()
  local socket, measure = start(sendText), meter(seconds)
  socket:write "16\n"
  local count, each = 0
  repeat
    for _ = 1, 8 do assert(#socket:read(1024 * 1024) == 1024 * 1024) end
    count = count + 8
    each = measure(count)
    socket:write "8\n"
  until each
  print("text", 1024 * 1024 / each / 1e9, "GB/s")
end

-- --- Big tables -------------------------------------------------------------

local function measureLength(socket)
  local decode = require "cjson".decode
  for length in socket:lines() do
    socket:write(#decode(socket:read(tonumber(length))), "\n")
  end
end

local function bulk()
  local encode = require "cjson".encode
  local list = values[program]()
  local socket, measure = start(measureLength), meter(seconds)
  socket:setmode("b", "bf")
  local count, each = 0
  repeat
    local bytes = encode(list)
    socket:write(#bytes, "\n", bytes)
    socket:flush()
    assert(tonumber(socket:read "*l") == #list)
    count = count + 1
    each = measure(count)
  until each
  print(program, each * 1e3, "ms")
end

-- --- Many threads -----------------------------------------------------------

local function answerer(socket)
  socket:write "answer\n"
  socket:read "*l"
end

-- Both the sockets and the threads must be kept.
local function startAll(count)
  local all = {}
  for i = 1, count do all[i] = { start(answerer) } end
  for _, one in ipairs(all) do assert(one[1]:read "*l" == "answer") end
  return all
end

local function spawn()
  local begin = now()
  local all = startAll(1000)
  print("spawn", (now() - begin) / #all * 1e6, "us")
end

-- 1,000 instead of 10,000: each takes several file descriptors.
local function idle()
  local before = clock.rss()
  local all = startAll(1000)
  cqueues.sleep(0.5)
  print("rss", (clock.rss() - before) / #all, "KiB")
  require "idle_cpu"(function() cqueues.sleep(10 * seconds) end)
end

-- --- Start ------------------------------------------------------------------

local programs = {
  pingpong = pingpong,
  cold = cold,
  integers = function() stream(sendIntegers, 1, tonumber) end,
  tables = function() stream(sendTables, 1, require "cjson".decode) end,
  fan_in = function() stream(sendIntegers, 4, tonumber) end,
  text = text,
  floats = bulk,
  records = bulk,
  spawn = spawn,
  idle = idle,
}

programs[program]()
io.stdout:flush()
os.exit(true, false)
