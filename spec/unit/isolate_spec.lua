-- isolate_spec.lua - the life of one isolate: its start, its errors, its end;
-- inside of isolates.

local Probe = require "spec.support.probe"

describe("An isolate", function()
  local probe

  before_each(function() probe = Probe.new() end)

  after_each(function() probe:close() end)

  describe("that starts", function()
    it("gets events only when its entry has returned", function()
      probe:spawn("/a", function(context)
        local told = context:property "probe"
        context:onMessage(function(value) told:send(value) end)
        context.isolateRef:send "event"
        told:send "entry"
      end)

      assert.same({ "entry", "event" }, probe:heard(2))
    end)

    it("gets events when its entry first waits", function()
      local ref = probe:spawn("/a", function(context)
        local told = context:property "probe"
        context:onMessage(function(value)
          told:send(value)
          if value == "go" then context.isolateRef:send "released" end
        end)
        context.isolateRef:send "go"
        told:send "entry"
        context.onMessage:where(function(value) return value == "released" end)
          :next()
        told:send "entry again"
      end)

      assert.same({ "entry", "go", "released", "entry again" }, probe:heard(4))
      assert.is_true(ref.alive)
    end)

    it("misses no isolate that came up while its entry ran", function()
      probe:spawn("/a", function(context)
        local told = context:property "probe"
        context:spawnIsolate("/b", function() end)
        context.onIsolateUp:listen(function(ref) told:send(ref.path) end)
      end)

      assert.same({ "/b" }, probe:heard(1))
    end)

    it("runs a function that its file returns", function()
      local file = os.tmpname() .. ".lua"
      finally(function()
        os.remove(file)
        os.remove((file:gsub("%.lua$", "")))
      end)
      local out <close> = assert(io.open(file, "w"))
      out:write [[
        local context = ...
        context:property "probe":send "chunk"
        return function(same)
          context:property "probe":send(same == context)
        end
      ]]
      out:close()

      probe:spawn("/a", file)

      assert.same({ "chunk", true }, probe:heard(2))
    end)
  end)

  describe("whose code fails", function()
    it("tells onError of the message, the traceback and the value", function()
      probe:spawn("/a", function(context)
        context.onError:listen(function(err)
          context:property "probe":send {
            message = err.message, code = err.value.code,
            traced = err.traceback:find "stack traceback:" ~= nil,
            named = err.traceback:find "guilty" ~= nil,
          }
        end)
        local value = setmetatable({ code = 7 },
          { __tostring = function() return "seven" end })
        local function guilty() error(value) end
        context:after(0, function() guilty() end)
      end)

      assert.same({ { message = "seven", code = 7, traced = true,
        named = true } }, probe:heard(1))
    end)

    it("goes on with the next message", function()
      local ref = probe:spawn("/a", function(context)
        local told = context:property "probe"
        context.onError = function(err) told:send(err.message) end
        context:onMessage(function(value)
          if value == "bad" then error("it broke", 0) end
          told:send(value)
        end)
      end)

      for _, value in ipairs { "good", "bad", "better" } do ref:send(value) end

      assert.same({ "good", "it broke", "better" }, probe:heard(3))
    end)

    it("tells all listeners of onError", function()
      probe:spawn("/a", function(context)
        local told = context:property "probe"
        context.onError:listen(function() told:send "first" end)
        context.onError:listen(function() told:send "second" end)
        context:after(0, error)
      end)

      assert.same({ "first", "second" }, probe:heard(2))
    end)

    it("reports an error of onError, and does not tell it of it", function()
      local reports = probe:inside(function(context)
        local list, told = {}, 0
        require "isolate_cluster.core".report = function(text)
          list[#list + 1] = text
        end
        context.onError:listen(function()
          told = told + 1
          error "and again"
        end)
        context:after(0, function() error "once" end)
        context:sleep(0.001)
        return { told, #list, list[1] }
      end)

      assert.same({ 1, 1 }, { reports[1], reports[2] })
      assert.matches("and again.*while onError was told of: .*once",
        reports[3])
    end)

    it("reports to stderr if nobody listens", function()
      local report = probe:inside(function(context)
        local text
        require "isolate_cluster.core".report = function(it) text = it end
        context:after(0, function() error "it broke" end)
        context:sleep(0.001)
        return text
      end)

      assert.matches("it broke\nstack traceback:\n", report)
    end)

    it("ends if that is its entry, also after a wait", function()
      local function fails(context)
        context.onError = function(err)
          context:property "probe":send(err.message)
        end
        if context:property "waits" then context:sleep(0) end
        error("it broke", 0)
      end

      local first = probe:spawn("/a", fails)
      local second = probe:spawn("/b", fails, { waits = true })

      assert.equal("error", probe:reasonOf(first))
      assert.equal("error", probe:reasonOf(second))
      assert.same({ "it broke", "it broke" }, probe:heard(2))
    end)

    it("does not end for an error that comes after its entry", function()
      local ref = probe:spawn("/a", function(context)
        context.onError = function(err)
          context:property "probe":send(err.message)
        end
        context:onMessage(function() error("it broke", 0) end)
      end)

      ref:send "message"

      assert.same({ "it broke" }, probe:heard(1))
      assert.is_true(ref.alive)
    end)

    it("is told of a yield that nobody would ever resume", function()
      local ref = probe:spawn("/a", function(context)
        context.onError = function(err)
          context:property "probe":send(err.message)
        end
        context:onMessage(function() coroutine.yield() end)
      end)

      ref:send "message"

      assert.same({ "coroutine.yield outside of a coroutine of your own" },
        probe:heard(1))
    end)
  end)

  describe("that ends", function()
    it("is done when nothing can call it any more", function()
      local ref = probe:spawn("/a", function(context)
        context:sleep(0)
        local timer = context:after(100, print)
        context.onMessage:listen(print):cancel()
        timer:cancel()
      end)

      assert.equal("done", probe:reasonOf(ref))
    end)

    it("closes the variables of what still waits", function()
      local ref = probe:spawn("/a", function(context)
        context:after(0, function()
          local _ <close> = setmetatable({}, { __close = function()
            context:property "probe":send "closed"
          end })
          context:sleep(100)
        end)
        context:onMessage(function() context:shutdownIsolate() end)
        context:sleep(0)
        context:property "probe":send "ready"
      end)
      probe:heard(1)

      ref:send "end"

      assert.equal("shutdown", probe:reasonOf(ref))
      assert.same({ "ready", "closed" }, probe:heard(2))
    end)

    it("handles nothing more after shutdownIsolate", function()
      local ref = probe:spawn("/a", function(context)
        context:onMessage(function(value)
          context:property "probe":send(value)
          context:shutdownIsolate()
          context:property "probe":send "still here"
        end)
        context.isolateRef:send "first"
        context.isolateRef:send "second"
      end)

      assert.equal("shutdown", probe:reasonOf(ref))
      assert.same({ "first", "still here" }, probe:heard(2))
    end)

    it("ends by os.exit at once, whatever would catch that", function()
      local function exits(context)
        local told = context:property "probe"
        pcall(function() os.exit(context:property "code") end)
        told:send "still here"
      end

      local reasons = {}
      for i, code in ipairs { 0, 1, true, false } do
        reasons[i] = probe:reasonOf(
          probe:spawn("/a", exits, { code = code }))
      end
      local plain = probe:spawn("/a", exits)

      assert.same({ "done", "error", "done", "error" }, reasons)
      assert.equal("done", probe:reasonOf(plain))
      probe.ref:send "the only one"
      assert.same({ "the only one" }, probe:heard(1))
    end)

    it("agrees to a shutdown unless it says what to do", function()
      probe:spawn("/agrees", "spec.support.idle")
      probe:spawn("/decides", function(context)
        context.onShutdownRequest = function()
          context:after(0, function() context:shutdownIsolate() end)
        end
      end)
      local downs = {}
      probe.cluster.onIsolateDown:listen(function(ref, reason)
        downs[ref.path] = reason
      end)

      assert.is_true(probe.cluster:shutdown(Probe.DEADLINE))
      assert.same({ ["/agrees"] = "shutdown", ["/decides"] = "shutdown",
        ["/probe"] = "shutdown" }, downs)
    end)
  end)
end)
