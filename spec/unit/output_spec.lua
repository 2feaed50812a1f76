-- output_spec.lua - what isolates print: print, io.write and io.stderr inside
-- an isolate, seen from outside of the process.

local Scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local COMMAND = shell.quote(os.getenv "ISOLATE_CLUSTER_COMMAND"
  or "build/release/isolate-cluster")

describe("In an isolate", function()
  local scratch

  setup(function() scratch = Scratch.new() end)

  teardown(function() scratch:remove() end)

  -- Runs a host script in a process of its own.
  ---@return string out, string err
  local function runHost(script)
    local file = scratch:write("host.lua", script)
    local out, err = scratch:path "out", scratch:path "err"
    local _, status = shell.run(("timeout 20 %s run %s >%s 2>%s"):format(
      COMMAND, shell.quote(file), shell.quote(out), shell.quote(err)))
    assert.equal(0, status, shell.read(err))
    return shell.read(out), shell.read(err)
  end

  -- Runs the body of an entry in the isolate /a.
  local function run(body)
    return runHost(([[
      local cluster = require "isolate_cluster".singleNode()
      cluster:spawnIsolate("/a", function(context) %s end)
      cluster:wait()
    ]]):format(body))
  end

  describe("print", function()
    it("writes all values with tabs between, as Lua's own does", function()
      local out = run [[
        local named = setmetatable({}, { __name = "name" })
        local function speak() return "me" end
        local own = setmetatable({}, { __tostring = speak })
        print(1, 2.0, "text", nil, true, own)
        print()
        print((tostring(named):gsub("0x%x+", "ADDRESS")))
        print(select("#", print "x"))
        print("\0binary\xff")
      ]]

      assert.equal("1\t2.0\ttext\tnil\ttrue\tme\n\nname: ADDRESS\nx\n0\n"
        .. "\0binary\xff\n", out)
    end)

    it("refuses a __tostring that gives no string", function()
      local out = run [[
        local function nothing() end
        local mute = setmetatable({}, { __tostring = nothing })
        print("tried", pcall(print, "never", mute))
      ]]

      assert.equal("tried\tfalse\t'__tostring' must return a string\n", out)
    end)

    it("writes a line of any length", function()
      local out = run [[ print(("x"):rep(3 << 20)) print "end" ]]

      assert.equal((3 << 20) + #"\nend\n", #out)
      assert.matches("^x+\nend\n$", out)
    end)

    it("goes to stdout, whatever the default output is", function()
      local out = run [[
        local file = io.tmpfile()
        io.output(file)
        print "out"
        io.write "in the file"
        file:seek "set"
        local text = file:read "a"
        io.output(io.stdout)
        io.write(text, "\n")
      ]]

      assert.equal("out\nin the file\n", out)
    end)
  end)

  describe("a line", function()
    -- Two isolates; /a may ask /b to print "b".
    local function runTwo(body)
      return (runHost(([[
        local cluster = require "isolate_cluster".singleNode()
        cluster:spawnIsolate("/b", function(context)
          context:onMessage(function(_, message)
            print "b"
            message:reply(true)
            context:shutdownIsolate()
          end)
        end)
        cluster:spawnIsolate("/a", function(context)
          local b = context:lookupIsolate "/b"
          local function other() assert(b:request(true)) end
          %s
        end)
        cluster:wait()
      ]]):format(body)))
    end

    it("is kept until it is complete", function()
      assert.equal("b\none line\n",
        runTwo [[ io.write "one " other() io.write("line", "\n") ]])
    end)

    it("is let go by a flush", function()
      for _, flush in ipairs { "io.flush()", "io.stdout:flush()",
        "io.output():flush()", "assert(io.flush())" } do
        assert.equal("unfinished b\n", runTwo(
          [[ io.write "unfinished " ]] .. flush .. [[ other() ]]))
      end
    end)

    it("is let go at the end of the isolate", function()
      assert.equal("b\nunfinished",
        runTwo [[ io.write "unfinished" other() ]])
    end)

    it("is let go when an error ends the isolate", function()
      local out, err = run [[ io.write "unfinished" error "it broke" ]]

      assert.equal("unfinished", out)
      assert.matches("^isolate%-cluster: error in /a: .*it broke\n"
        .. "stack traceback:\n", err)
    end)

    it("is never mixed with another's", function()
      local out = runHost [[
        local cluster = require "isolate_cluster".singleNode()
        for _, name in ipairs { "a", "b", "c" } do
          cluster:spawnIsolate(function(context)
            local name = context:property "name"
            for i = 1, 200 do
              io.write(name:rep(10))
              io.stdout:write(i, " ")
              io.write(name, "\n")
              print(name:rep(20))
            end
          end, { name = name })
        end
        cluster:wait()
      ]]

      local lines, wrong = shell.lines(out), {}
      for _, line in ipairs(lines) do
        local name = line:sub(1, 1)
        if line ~= name:rep(20)
          and not line:find("^" .. name:rep(10) .. "%d+ " .. name .. "$") then
          table.insert(wrong, line)
        end
      end
      assert.same({}, wrong)
      assert.equal(1200, #lines)
    end)

    it("of the isolate comes in order with what it prints", function()
      local out = run [[
        for i = 1, 3 do
          io.write(i, " ")
          print(i)
          io.stdout:write(i, "\n")
        end
      ]]

      assert.equal("1 1\n1\n2 2\n2\n3 3\n3\n", out)
    end)
  end)

  describe("io.stderr", function()
    it("is written to as a line too, apart from stdout", function()
      local out, err = run [[
        assert(io.stderr:write("one ", 2) == io.stderr)
        io.stderr:write "\n"
        io.stderr:write "unfinished"
      ]]

      assert.equal("", out)
      assert.equal("one 2\nunfinished", err)
    end)

    it("gets warnings once they are on, a line each", function()
      local _, err = run [[
        warn "before"
        warn "@on"
        warn("in ", "pieces")
        warn "@off"
        warn "after"
      ]]

      assert.matches("isolate%-cluster: warning in /a: in pieces\n$", err)
      assert.is_nil(err:find("after", 1, true))
    end)
  end)

  describe("the io library", function()
    it("does not close the standard files", function()
      local out, err = run [[
        print(io.stdout:close())
        print(io.stderr:close())
        print(io.close())
        print(io.type(io.stdout), io.type(io.stderr), io.output() == io.stdout)
        io.stderr:write "still open\n"
      ]]

      assert.equal(("nil\tcannot close standard file\n"):rep(3)
        .. "file\tfile\ttrue\n", out)
      assert.equal("still open\n", err)
    end)

    it("has all functions for them", function()
      local out = run [[
        print(io.stdout:setvbuf "full", io.stdout:setvbuf "no")
        print((io.stdout:seek()))
        print((io.stdout:read()))
        print((tostring(io.stdout):gsub("0x%x+", "ADDRESS")))
        print((select(2, pcall(io.write, {})):gsub("'.-write'", "'write'")))
      ]]

      assert.equal("true\ttrue\nnil\nnil\nfile (ADDRESS)\nbad argument #1 to "
        .. "'write' (string expected, got table)\n", out)
    end)

    it("works with other files as ever", function()
      local out = run [[
        local name = os.tmpname()
        local file <close> = io.open(name, "w")
        file:write "kept in a buffer"
        assert(file:flush())
        print((io.open(name):read "a"))
        io.output(file)
        io.write ", and more"
        assert(io.flush())
        io.output(io.stdout)
        print((io.open(name):read "a"))
        file:close()
        print(pcall(file.flush, file))
        print(io.popen "echo from a program":read "l")
        os.remove(name)
      ]]

      assert.equal("kept in a buffer\nkept in a buffer, and more\n"
        .. "false\tattempt to use a closed file\nfrom a program\n", out)
    end)
  end)
end)
