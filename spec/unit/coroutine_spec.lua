-- coroutine_spec.lua - inside an isolate coroutine.resume, wrap and close are
-- ours. They do what section 6.2 of Lua's manual says, and complain in the
-- words of Lua's own.

local Probe = require "spec.support.probe"

describe("In an isolate", function()
  local probe

  setup(function() probe = Probe.new() end)

  teardown(function() probe:close() end)

  local function inside(fn) return probe:inside(fn) end

  it("code runs in a coroutine that may yield", function()
    assert.same({ "thread", false, true, "running" }, inside(function()
      local co, isMain = coroutine.running()
      return { type(co), isMain, coroutine.isyieldable(),
        coroutine.status(co) }
    end))
  end)

  describe("coroutine.resume", function()
    it("hands values in and out, nils included", function()
      local got = inside(function()
        local co = coroutine.create(function(...)
          local second = table.pack(coroutine.yield(...))
          return select("#", ...), second.n, nil
        end)
        return { table.pack(coroutine.resume(co, nil, 2, nil)),
          table.pack(coroutine.resume(co, 1, nil)), coroutine.status(co) }
      end)

      assert.same({ { n = 4, true, nil, 2, nil }, { n = 4, true, 3, 2, nil },
        "dead" }, got)
    end)

    it("hands 100,000 values in and out", function()
      local got = inside(function()
        local list = {}
        for i = 1, 100000 do list[i] = i end
        local co = coroutine.create(function(...) return ... end)
        local results = table.pack(coroutine.resume(co, table.unpack(list)))
        return { results.n, results[2], results[100001] }
      end)

      assert.same({ 100001, 1, 100000 }, got)
    end)

    it("gives false and the error, whatever value that is", function()
      local got = inside(function()
        local list = {}
        for i, value in ipairs { "text", 5, { "table" }, false } do
          local co = coroutine.create(function() error(value, 0) end)
          list[i] = table.pack(coroutine.resume(co))
        end
        list[5] = table.pack(coroutine.resume(coroutine.create(error)))
        return list
      end)

      assert.same({ { n = 2, false, "text" }, { n = 2, false, 5 },
        { n = 2, false, { "table" } }, { n = 2, false, false },
        { n = 2, false, nil } }, got)
    end)

    it("refuses a coroutine that has ended, in any way", function()
      local got = inside(function()
        local returned = coroutine.create(function() end)
        coroutine.resume(returned)
        local failed = coroutine.create(error)
        coroutine.resume(failed)
        local closed = coroutine.create(function() end)
        coroutine.close(closed)
        return { table.pack(coroutine.resume(returned)),
          table.pack(coroutine.resume(failed, 1, 2)),
          table.pack(coroutine.resume(closed, nil)) }
      end)

      local dead = { n = 2, false, "cannot resume dead coroutine" }
      assert.same({ dead, dead, dead }, got)
    end)

    it("refuses a coroutine that runs, or has resumed another", function()
      local got = inside(function()
        local outer = coroutine.running()
        local inner = coroutine.create(function()
          return coroutine.status(outer), coroutine.resume(outer, 1)
        end)
        return { table.pack(coroutine.resume(outer)),
          table.pack(coroutine.resume(inner)) }
      end)

      local text = "cannot resume non-suspended coroutine"
      assert.same({ { n = 2, false, text },
        { n = 4, true, "normal", false, text } }, got)
    end)

    it("refuses what is no coroutine", function()
      local got = inside(function()
        return { select(2, pcall(function() coroutine.resume() end)),
          select(2, pcall(function() coroutine.resume(5) end)) }
      end)

      assert.matches(":%d+: bad argument #1 to 'resume' "
        .. "%(thread expected, got no value%)$", got[1])
      assert.matches(":%d+: bad argument #1 to 'resume' "
        .. "%(thread expected, got number%)$", got[2])
    end)

    it("refuses too many arguments, and leaves the coroutine as it was",
      function()
        local got = inside(function()
          local list = table.move({ 1 }, 1, 1, 600000, {})
          -- What is in `...` fills the stack, until it returns.
          local function full(...) return (coroutine.yield()), (...) end
          local co = coroutine.create(function()
            return (full(table.unpack(list, 1, 600000)))
          end)
          coroutine.resume(co)
          return {
            table.pack(coroutine.resume(co, table.unpack(list, 1, 600000))),
            coroutine.status(co), table.pack(coroutine.resume(co, "one")) }
        end)

        assert.same({ { n = 2, false, "too many arguments to resume" },
          "suspended", { n = 2, true, "one" } }, got)
      end)

    it("refuses too many results, and goes on behind them", function()
      local got = inside(function()
        local list = table.move({ 1 }, 1, 1, 600000, {})
        local co = coroutine.create(function()
          return coroutine.yield(table.unpack(list, 1, 600000))
        end)
        local function full(...) return { coroutine.resume(co) }, (...) end
        local first = full(table.unpack(list, 1, 600000))
        return { first, coroutine.status(co),
          table.pack(coroutine.resume(co, "one")) }
      end)

      assert.same({ { false, "too many results to resume" },
        "suspended", { n = 2, true, "one" } }, got)
    end)

    it("stops at coroutines too deep in each other", function()
      local got = inside(function()
        local depth = 0
        local function nest()
          depth = depth + 1
          local ok, text = coroutine.resume(coroutine.create(nest))
          if not ok then error(text, 0) end
        end
        local ok, text = pcall(nest)
        return { ok, depth > 100 and depth < 250,
          text:match "C stack overflow$" }
      end)

      assert.same({ false, true, "C stack overflow" }, got)
    end)
  end)

  describe("coroutine.wrap", function()
    it("gives a function that resumes", function()
      local got = inside(function()
        local list = {}
        for i, square in coroutine.wrap(function(...)
          for i = 1, 3 do coroutine.yield(i, i * i, ...) end
        end) do
          list[i] = square
        end
        return list
      end)

      assert.same({ 1, 4, 9 }, got)
    end)

    it("puts the caller's place before an error's text", function()
      local texts = inside(function()
        local function at(level)
          return coroutine.wrap(function() error("it broke", level) end)
        end
        local function call(fn)
          local _ = fn()
        end
        return { select(2, pcall(call, at(0))), select(2, pcall(call, at(1))),
          select(2, pcall(at(0))) }
      end)

      assert.matches("^spec/unit/coroutine_spec.lua:%d+: it broke$", texts[1])
      assert.matches("^spec/unit/coroutine_spec.lua:%d+: "
        .. "spec/unit/coroutine_spec.lua:%d+: it broke$", texts[2])
      assert.equal("it broke", texts[3])
    end)

    it("hands on an error that is no text as it is", function()
      assert.is_true(inside(function()
        local value = {}
        local _, got = pcall(coroutine.wrap(error), value)
        return got == value
      end))
    end)

    it("refuses to go on after the end, and in itself", function()
      local got = inside(function()
        local done = coroutine.wrap(function() end)
        done()
        local itself
        itself = coroutine.wrap(function() itself() end)
        return { select(2, pcall(done)),
          (select(2, pcall(itself)):gsub("^.-:%d+: ", "")) }
      end)

      assert.same({ "cannot resume dead coroutine",
        "cannot resume non-suspended coroutine" }, got)
    end)

    it("closes the variables of what has failed", function()
      local got = inside(function()
        local list = {}
        local fn = coroutine.wrap(function()
          local _ <close> = setmetatable({}, {
            __close = function(_, value) list[#list + 1] = value end })
          error("it broke", 0)
        end)
        list[2] = select(2, pcall(fn))
        list[3] = select(2, pcall(fn))
        return list
      end)

      assert.same({ "it broke", "it broke", "cannot resume dead coroutine" },
        got)
    end)

    it("hands on the error of a variable's closing instead", function()
      assert.equal("while closing", inside(function()
        local fn = coroutine.wrap(function()
          local _ <close> = setmetatable({}, {
            __close = function() error("while closing", 0) end })
          error("it broke", 0)
        end)
        return select(2, pcall(fn))
      end))
    end)

    it("refuses what is no function", function()
      local text = inside(function()
        return select(2, pcall(function() coroutine.wrap(5) end))
      end)

      assert.matches(
        ":%d+: bad argument #1 to 'wrap' %(function expected, got number%)$",
        text)
    end)
  end)

  describe("coroutine.close", function()
    it("closes the pending variables, the newest first", function()
      local got = inside(function()
        local list = {}
        local function pending(name)
          return setmetatable({}, { __close = function(_, value)
            list[#list + 1] = name .. " " .. tostring(value)
          end })
        end
        local co = coroutine.create(function()
          local _ <close> = pending "outer"
          local function inner()
            local _ <close> = pending "inner"
            coroutine.yield()
          end
          inner()
        end)
        coroutine.resume(co)
        local ok = coroutine.close(co)
        return { list, ok, coroutine.status(co) }
      end)

      assert.same({ { "inner nil", "outer nil" }, true, "dead" }, got)
    end)

    it("closes variables that are pending across pcall", function()
      local got = inside(function()
        local closed = 0
        local co = coroutine.create(function()
          pcall(function()
            local _ <close> = setmetatable({}, {
              __close = function() closed = closed + 1 end })
            coroutine.yield()
          end)
          closed = "went on"
        end)
        coroutine.resume(co)
        return { coroutine.close(co), closed }
      end)

      assert.same({ true, 1 }, got)
    end)

    it("gives false and the error of a closing; the next is told", function()
      local got = inside(function()
        local told
        local co = coroutine.create(function()
          local _ <close> = setmetatable({}, {
            __close = function(_, value) told = value end })
          local _ <close> = setmetatable({}, {
            __close = function() error("while closing", 0) end })
          coroutine.yield()
        end)
        coroutine.resume(co)
        return { table.pack(coroutine.close(co)), told, coroutine.status(co),
          table.pack(coroutine.close(co)) }
      end)

      assert.same({ { n = 2, false, "while closing" }, "while closing", "dead",
        { n = 1, true } }, got)
    end)

    it("gives true for one that never ran, and for one that returned",
      function()
        local got = inside(function()
          local fresh = coroutine.create(error)
          local returned = coroutine.create(function() end)
          coroutine.resume(returned)
          return { table.pack(coroutine.close(fresh)), coroutine.status(fresh),
            table.pack(coroutine.close(returned)) }
        end)

        assert.same({ { n = 1, true }, "dead", { n = 1, true } }, got)
      end)

    it("gives false and the error for one that failed, but only once",
      function()
        local got = inside(function()
          local co = coroutine.create(error)
          coroutine.resume(co, 100)
          return { table.pack(coroutine.close(co)),
            table.pack(coroutine.close(co)) }
        end)

        assert.same({ { n = 2, false, 100 }, { n = 1, true } }, got)
      end)

    it("refuses a coroutine that runs, or has resumed another", function()
      local got = inside(function()
        local outer = coroutine.running()
        local inner = coroutine.wrap(function()
          return select(2, pcall(coroutine.close, outer))
        end)
        return { select(2, pcall(coroutine.close, outer)), inner() }
      end)

      assert.same({ "cannot close a running coroutine",
        "cannot close a normal coroutine" }, got)
    end)

    it("refuses what is no coroutine", function()
      local text = inside(function()
        return select(2, pcall(function() coroutine.close(print) end))
      end)

      assert.matches(":%d+: bad argument #1 to 'close' "
        .. "%(thread expected, got function%)$", text)
    end)

    it("does not let a closing yield", function()
      local got = inside(function()
        local co = coroutine.create(function()
          local _ <close> = setmetatable({}, {
            __close = function() coroutine.yield() end })
          coroutine.yield()
        end)
        coroutine.resume(co)
        return table.pack(coroutine.close(co))
      end)

      assert.same({ n = 2, false, "attempt to yield across a C-call boundary" },
        got)
    end)
  end)

  describe("coroutine.yield", function()
    it("goes through pcall, xpcall, metamethods and iterators", function()
      local got = inside(function()
        local proxy = setmetatable({}, {
          __index = function(_, key) return coroutine.yield(key) end,
          __add = function() return coroutine.yield "add" end,
        })
        local co = coroutine.create(function()
          local a = select(2, pcall(coroutine.yield, "pcall"))
          local b = select(2, xpcall(coroutine.yield, print, "xpcall"))
          local c, d = proxy.index, proxy + 1
          local sum = 0
          local function each() return (coroutine.yield "for") end
          for value in each do sum = sum + value end
          return a, b, c, d, sum
        end)
        local list = {}
        for i = 1, 7 do
          local results = { coroutine.resume(co, i < 7 and i or nil) }
          list[i] = table.concat(results, " ", 2)
        end
        return list
      end)

      assert.same({ "pcall", "xpcall", "index", "add", "for", "for",
        "2 3 4 5 6" }, got)
    end)

    it("lets pcall catch what comes after it", function()
      local got = inside(function()
        local co = coroutine.wrap(function()
          local ok, text = pcall(function()
            coroutine.yield()
            error("it broke", 0)
          end)
          return ok, text
        end)
        co()
        return { co() }
      end)

      assert.same({ false, "it broke" }, got)
    end)

    it("is refused across a sort", function()
      local text = inside(function()
        local co = coroutine.wrap(function()
          return select(2, pcall(table.sort, { 1, 2, 3 }, coroutine.yield))
        end)
        return co()
      end)

      assert.equal("attempt to yield across a C-call boundary", text)
    end)
  end)

  describe("a wait in a coroutine of the script's own", function()
    it("suspends it, and the loop goes on with it", function()
      local got = inside(function(context)
        local list = {}
        local co = coroutine.create(function()
          list[#list + 1] = "begins"
          context:sleep(0)
          list[#list + 1] = "ends"
        end)
        local results = table.pack(coroutine.resume(co))
        list[#list + 1] = results.n .. " " .. coroutine.status(co)
        while coroutine.status(co) ~= "dead" do context:sleep(0) end
        return list
      end)

      assert.same({ "begins", "1 suspended", "ends" }, got)
    end)

    it("is over when the coroutine is closed", function()
      local got = inside(function(context)
        local co = coroutine.create(function() context.onMessage:next() end)
        coroutine.resume(co)
        local closed = coroutine.close(co)
        context.isolateRef:send "for another"
        return { closed, (context.onMessage:next(10)) }
      end)

      assert.same({ true, "for another" }, got)
    end)
  end)
end)
