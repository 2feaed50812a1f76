-- output_spec.lua - what isolates print comes in whole lines, in order, and all
-- of it, wherever it goes.

local command = require "spec.support.command"

-- Another program can load what has a sanitizer in it only with preloads.
local itUnlessSanitized = command.SANITIZED and pending or it

local ISOLATES, LINES = 8, 500

-- [entry] is the body of function(context), which knows `tag` and `lines`.
local SCRIPT = [[
local IsolateCluster = require "isolate_cluster"
local cluster = IsolateCluster.singleNode()
for i = 1, ]] .. ISOLATES .. [[ do
  cluster:spawnIsolate(function(context)
    local tag, lines = context:property "tag", ]] .. LINES .. [[

    %s
  end, { tag = string.char(96 + i) })
end
cluster:wait()
print "end"
]]

-- What is wrong with the lines, or nil. An isolate's line is its letter many
-- times, and its number.
local function complaint(text)
  local last, count = {}, 0
  for line in text:gmatch "[^\n]+" do
    local letters, number = line:match "^(%l+):(%d+)$"
    local letter = line:sub(1, 1)
    if letters then
      number = tonumber(number)
      if letters ~= letter:rep(#letters) then return "mixed: " .. line end
      if number ~= (last[letter] or 0) + 1 then
        return ("%s%d behind %d"):format(letter, number, last[letter] or 0)
      end
      last[letter] = number
      count = count + 1
    elseif line ~= "end" then
      return "torn: " .. line
    end
  end
  if count ~= ISOLATES * LINES then return count .. " lines" end
end

local function checkLines(text)
  local wrong = complaint(text)
  assert.is_nil(wrong and wrong:sub(1, 200))
end

describe("the lines of many isolates", function()
  local WRITERS = {
    ["by print"] = [[
      for i = 1, lines do print(tag:rep(200) .. ":" .. i) end]],
    ["longer than a pipe's buffer"] = [[
      for i = 1, lines do
        print(tag:rep(i % 50 == 0 and 70000 or 9) .. ":" .. i)
      end]],
    ["by io.write in parts"] = [[
      for i = 1, lines do io.write(tag, tag:rep(99), ":", i, "\n") end]],
    ["by calls of io.write"] = [[
      for i = 1, lines do
        io.write(tag)
        io.write(tag:rep(99))
        io.stdout:write(":", i)
        io.write "\n"
      end]],
    ["by handlers that wait within a line"] = [[
      for i = 1, lines do
        io.write(tag)
        if i % 50 == 0 then context:sleep(0) end
        io.write(":", i, "\n")
      end]],
    ["several at once"] = [[
      for i = 1, lines, 4 do
        local text = {}
        for j = i, i + 3 do text[#text + 1] = tag:rep(50) .. ":" .. j end
        io.write(table.concat(text, "\n"), "\n")
      end]],
    ["through a full buffer of the script's own"] = [[
      io.stdout:setvbuf("full", 100)
      for i = 1, lines do io.write(tag, tag:rep(70), ":", i, "\n") end]],
  }

  for name, writer in pairs(WRITERS) do
    it("are whole " .. name .. ", into a pipe", function()
      local result = command.run(SCRIPT:format(writer))

      checkLines(result.stdout)
      assert.equal("\nend\n", result.stdout:sub(-5))
    end)
  end

  it("have nothing of a script that has its stream buffered", function()
    local result = command.run [[
      local cluster = require "isolate_cluster".singleNode()
      local function write(context)
        if context:property "buffers" then io.stdout:setvbuf("full", 1000) end
        local path = context.path
        io.write(path, " line\n", path, " part")
        context:onMessage(function(value, message)
          io.write(value, "\n")
          if value == "end" then context:shutdownIsolate() end
          message:reply(true)
        end)
      end
      local buffering = cluster:spawnIsolate("/b", write, { buffers = true })
      local plain = cluster:spawnIsolate("/a", write)
      buffering:request "more"
      plain:request "more"
      plain:request "end"
      cluster:settle()
      buffering:request "end"
      cluster:wait()
    ]]

    local lines = {}
    for line in result.stdout:gmatch "[^\n]+" do lines[#lines + 1] = line end
    table.sort(lines)
    assert.same({ "/a line", "/a partmore", "/b line", "/b partmore", "end",
      "end" }, lines)
  end)

  it("are whole in a file", function()
    local run = command.start(SCRIPT:format(WRITERS["by io.write in parts"]),
      { stdout = "output" })
    while run:line() do end
    local output = run:read "output"
    run:finish()

    checkLines(output)
  end)

  it("are whole on stderr", function()
    local result = command.run(SCRIPT:format [[
      for i = 1, lines do io.stderr:write(tag:rep(100), ":", i, "\n") end
    ]])

    checkLines(result.stderr)
  end)

  it("are whole beside the host script's", function()
    local result = command.run(SCRIPT:format [[
      for i = 1, lines do print(tag:rep(100) .. ":" .. i) end
    ]] .. [[ for _ = 1, 100 do print("end") end ]])

    checkLines(result.stdout)
  end)

  itUnlessSanitized("are whole in a program of plain Lua", function()
    local result = command.run(SCRIPT:format(WRITERS["by io.write in parts"]),
      { program = command.plainLua() })

    checkLines(result.stdout)
  end)
end)

describe("what an isolate has printed", function()
  local function run(entry, options)
    return command.run(([[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode()
      cluster:spawnIsolate("/printer", function(context) %s end)
      cluster:wait()
    ]]):format(entry), options).stdout
  end

  it("is not lost without a newline", function()
    assert.equal("no newline", run [[ io.write "no newline" ]])
  end)

  it("is not lost when the isolate ends with an error", function()
    assert.equal("before", run [[ io.write "before" error "x" ]])
  end)

  it("is not lost when the isolate calls os.exit", function()
    assert.equal("before", run [[ io.write "before" os.exit() ]])
  end)

  it("is not lost when the isolate calls os.exit deep inside", function()
    assert.equal("before", run [[
      io.write "before"
      table.sort({ 1, 2, 3 }, function() pcall(os.exit, true, true) end)
      io.write "behind"
    ]])
  end)

  it("is not lost when the isolate is stopped", function()
    local result = command.run [[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode()
      local ups = cluster.onIsolateUp:iter()
      cluster:spawnIsolate(function(context)
        io.write "before"
        context:spawnIsolate("/busy", function() end)
        while true do end
      end)
      repeat until ups().path == "/busy"
      cluster:shutdown(0.05)
    ]]

    assert.equal("before", result.stdout)
  end)

  it("is there when it flushes a part of a line", function()
    local started = command.start [[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode()
      cluster:spawnIsolate(function(context)
        context:onMessage(function() end)
        io.write "part"
        io.flush()
        os.execute "echo"
      end)
      cluster:wait()
    ]]
    started:expect "part"
    started:signal "TERM"

    assert.equal("part\n", started:finish().stdout)
  end)

  it("is there as soon as a line is complete", function()
    local started = command.start [[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode()
      cluster:spawnIsolate(function(context)
        context:onMessage(function() end)
        io.write("a li", "ne\n", "and a half")
      end)
      cluster:wait()
    ]]
    started:expect "a line"
    started:signal "TERM"

    assert.equal("a line\nand a half", started:finish().stdout)
  end)

  it("into a file is there when SIGTERM ends the process", function()
    local started = command.start([[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode()
      for _ = 1, 8 do
        cluster:spawnIsolate(function(context)
          context:onMessage(function() end)
          for line = 1, 100 do print("line " .. line) end
          io.write "last"
          os.execute "echo ready >&3"
        end)
      end
      cluster:wait()
    ]], { stdout = "output", before = "exec 3>&1" })
    for _ = 1, 8 do started:expect "ready" end
    started:signal "TERM"
    while started:line() do end
    local output = started:read "output"
    started:finish()

    assert.equal(800, select(2, output:gsub("line %d+\n", "")))
    assert.equal(8, select(2, output:gsub("last", "")))
  end)

  it("is what tostring makes of it, with tabs between", function()
    assert.equal("1\t1.0\tnil\ttrue\tx\0y\tas text\n\n", run [[
      print(1, 1.0, nil, true, "x\0y",
        setmetatable({}, { __tostring = function() return "as text" end }))
      print()
    ]])
  end)

  it("can be written in each way of the io library", function()
    assert.equal("a1\n2.5\nb\nc\nd\n", run [[
      io.write("a", 1, "\n", 2.5, "\n")
      io.stdout:write "b\n":write "c\n"
      io.output():write "d\n"
      io.stdout:flush()
      io.stdout:setvbuf "no"
      assert(io.type(io.stdout) == "file" and not io.stdout:seek())
      assert(not io.stdout:close())
    ]])
  end)

  it("goes to another file where the isolate says so", function()
    assert.equal("back\n", run [[
      local standard = io.output()
      io.output "elsewhere"
      io.write "gone"
      io.close()
      io.output(standard)
      io.write "back\n"
    ]])
  end)

  it("comes in order with what its programs print", function()
    assert.equal("1\n2\n3\n4\n", run [[
      print "1"
      os.execute "echo 2"
      print "3"
      os.execute "echo 4"
    ]])
  end)
end)

describe("os.execute of an isolate", function()
  local function run(entry)
    return command.run(([[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode()
      cluster:spawnIsolate(function(context) %s end)
      cluster:wait()
      %s
    ]]):format(entry, entry)).stdout
  end

  -- In the isolate and in the host script.
  local function assertTwice(expected, entry)
    assert.equal(expected .. expected, run(entry))
  end

  it("tells how the program ended", function()
    assertTwice("true\texit\t0\n", [[ print(os.execute "true") ]])
    assertTwice("nil\texit\t3\n", [[ print(os.execute "exit 3") ]])
    assertTwice("nil\tsignal\t9\n", [[ print(os.execute "kill -9 $$") ]])
    assertTwice("nil\texit\t127\n",
      [[ print(os.execute "no-such-program 2>/dev/null") ]])
  end)

  it("tells whether there is a shell", function()
    assertTwice("true\n", [[ print(os.execute()) ]])
  end)

  it("wants a string", function()
    assertTwice("false\n", [[ print((pcall(os.execute, {}))) ]])
  end)
end)

describe("io.popen of an isolate", function()
  local Probe = require "spec.support.probe"
  local probe

  before_each(function() probe = Probe.new() end)
  after_each(Probe.close)

  it("reads, writes and tells how the program ended", function()
    local seen = probe:inside(function()
      local reader = io.popen "echo hi; exit 3"
      local writer = io.popen("read word; test $word = hi", "w")
      writer:write "hi\n"
      return { reader:read "a", { reader:close() }, { writer:close() },
        io.type(reader), (pcall(io.popen, "true", "rw")),
        (pcall(reader.read, reader)) }
    end)

    assert.same({ "hi\n", { nil, "exit", 3 }, { true, "exit", 0 },
      "closed file", false, false }, seen)
  end)

  it("fails to write to a program that has ended", function()
    local failed = probe:inside(function()
      local program = io.popen("exec 0<&-; true", "w")
      program:setvbuf "no"
      local written, text
      repeat written, text = program:write(("x"):rep(4096)) until not written
      program:close()
      return text
    end)

    assert.matches("Broken pipe", failed)
  end)

  it("ends its program where the isolate is ended by force", function()
    local ref = assert(probe.cluster:spawnIsolate(function()
      local program = io.popen("exec sleep 1000", "w")
      program:write "something that nobody reads"
      while true do end
    end, nil, { cpu = 0.05 }))

    assert.equal("cpu", probe:reasonOf(ref))
  end)
end)

describe("os.setlocale of an isolate", function()
  it("tells the process's locale, and leaves it", function()
    local result = command.run [[
      local IsolateCluster = require "isolate_cluster"
      local cluster = IsolateCluster.singleNode()
      cluster:spawnIsolate(function(context)
        print(os.setlocale(), os.setlocale(nil, "time"))
        print(os.setlocale "C.UTF-8", os.setlocale("", "numeric"))
        print((pcall(os.setlocale, nil, "taste")))
      end)
      cluster:wait()
      print(os.setlocale())
    ]]

    assert.equal("C\tC\nnil\tnil\nfalse\nC\n", result.stdout)
  end)
end)

describe("the process's own output", function()
  it("ends the process where nobody reads it any more", function()
    local result = command.run [[
      local script = io.open("flood.lua", "w")
      script:write [=[
        local IsolateCluster = require "isolate_cluster"
        local cluster = IsolateCluster.singleNode()
        cluster:spawnIsolate(function() while true do print "line" end end)
        cluster:wait()
      ]=]
      script:close()
      local program = io.popen(
        "\"$ISOLATE_CLUSTER_COMMAND\" run flood.lua | head -n 1; echo over")
      print(program:read "l", program:read "l")
    ]]

    assert.equal("line\tover\n", result.stdout)
  end)
end)
