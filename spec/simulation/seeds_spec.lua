-- seeds_spec.lua - what must hold in whatever order things happen: scenarios
-- that race, each in a thousand orders.
--
-- A scenario's isolates tell a probe what they saw, or raise where a rule is
-- broken; the spec looks at both when all is over.

local IsolateCluster = require "isolate_cluster"
local testing = require "isolate_cluster.testing"
local command = require "spec.support.command"

local SEEDS = command.SANITIZED and 30 or 1000

-- Runs a scenario with all seeds; no isolate may have raised.
local function forSeeds(fn)
  testing.seeds(SEEDS, function(cluster, seed)
    fn(cluster, seed)
    assert.same({}, cluster:errors())
  end)
end

-- Values that came to the probe, one list for each who.
local function byWho(values)
  local lists = {}
  for _, value in ipairs(values) do
    lists[value.who] = lists[value.who] or {}
    table.insert(lists[value.who], value)
  end
  return lists
end

local function watcher(context)
  local to = context:property "to"
  local function tell(what)
    return function(ref, reason)
      to:send { who = context.path, what = what, ref = ref, reason = reason }
    end
  end
  context.onIsolateUp:listen(tell "up")
  context.onIsolateDown:listen(function(ref, reason)
    local found = context:lookupIsolate(ref.path)
    if found == ref then error("the dead is found: " .. ref.path) end
    if ref.alive then error("the dead is alive: " .. ref.path) end
    tell "down"(ref, reason)
  end)
end

-- Each ref: up once, then down once; the same order for all who watched.
local function checkUpsAndDowns(list)
  local state = {}
  for _, event in ipairs(list) do
    local key = tostring(event.ref) .. event.ref.path
    local before = state[event.ref]
    if event.what == "up" then
      assert(before == nil, "up twice: " .. key)
    else
      assert(before == "up", "down without an up: " .. key)
    end
    state[event.ref] = event.what
  end
  return state
end

describe("In any order", function()
  after_each(function() testing.finish() end)

  it("an up comes before its down, and the dead are not found", function()
    -- Takes a path if it is free, finds itself there, and goes.
    local function spawner(context)
      for i = 1, 3 do
        local ref, _, code = context:spawnIsolate("/shared/" .. i % 2,
          function(inner)
            local found = inner:lookupIsolate(inner.path)
            if found ~= inner.isolateRef then error "is not found" end
            inner:sleep(0)
          end)
        if not ref and code ~= "in use" then error(code) end
        context:sleep(i % 2)
      end
    end

    forSeeds(function(cluster)
      local probe = cluster:probe "/probe"
      cluster:spawnIsolate("/watcher/1", watcher, { to = probe.ref })
      cluster:spawnIsolate("/watcher/2", watcher, { to = probe.ref })
      cluster:settle()
      for _ = 1, 2 do cluster:spawnIsolate("/spawner/", spawner) end
      cluster:advance(10)

      -- The first watcher alone hears of the second.
      local lists = byWho(probe:messages())
      table.remove(lists["/watcher/1"], 1)
      for _, list in pairs(lists) do
        for ref, what in pairs(checkUpsAndDowns(list)) do
          local isDown = what == "down"
          assert(isDown == not ref.alive, ref.path .. " is " .. what)
        end
      end
      local first, second = lists["/watcher/1"], lists["/watcher/2"]
      assert.equal(#first, #second)
      for i, event in ipairs(first) do
        assert(event.ref == second[i].ref and event.what == second[i].what)
      end
    end)
  end)

  it("messages of one sender keep their order", function()
    local function receiver(context)
      local last = {}
      context:onMessage(function(number, message)
        local who = message.sender.path
        if number ~= (last[who] or 0) + 1 then
          error(("%s: %d after %s"):format(who, number, last[who]))
        end
        last[who] = number
        if number == 8 then
          context:property "to":send { who = who, at = context.path }
        end
      end)
    end
    local function sender(context)
      for number = 1, 8 do
        for _, ref in ipairs(context:lookupIsolates "/receiver/") do
          ref:send(number)
        end
        if number % 3 == 0 then context:sleep(0) end
      end
    end

    forSeeds(function(cluster)
      local probe = cluster:probe "/probe"
      for _ = 1, 2 do
        cluster:spawnIsolate("/receiver/", receiver, { to = probe.ref })
      end
      for _ = 1, 3 do cluster:spawnIsolate("/sender/", sender) end
      cluster:advance(1)

      assert.equal(6, #probe:messages())
    end)
  end)

  it("each request is answered or fails, once, and the dead fail at once",
    function()
      -- Answers some, and ends with the rest in its mailbox.
      local function server(context)
        local left = context:property "answers"
        context:onMessage(function(value, message)
          message:reply(value * 2)
          left = left - 1
          if left == 0 then context:shutdownIsolate() end
        end)
      end
      local function client(context)
        local asked = context:property "server"
        for i = 1, 3 do
          context:after(0, function()
            local reply, _, code = asked:request(i, { timeout = 1000 })
            if reply and reply ~= i * 2 then error("wrong: " .. reply) end
            context:property "to":send { who = context.path, i = i,
              outcome = code or "answered" }
          end)
        end
      end

      forSeeds(function(cluster)
        local probe = cluster:probe "/probe"
        local ref = cluster:spawnIsolate("/server", server, { answers = 4 })
        for _ = 1, 3 do
          cluster:spawnIsolate("/client/", client,
            { server = ref, to = probe.ref })
        end
        cluster:advance(10)

        local outcomes = { answered = 0, gone = 0 }
        local seen = {}
        for _, value in ipairs((probe:messages())) do
          outcomes[value.outcome] = (outcomes[value.outcome] or 0) + 1
          local key = value.who .. value.i
          assert(not seen[key], "two outcomes of " .. key)
          seen[key] = true
        end
        assert.same({ answered = 4, gone = 5 }, outcomes)
      end)
    end)

  it("a monitor fires once, whether the end comes before or after", function()
    forSeeds(function(cluster)
      local probe = cluster:probe "/probe"
      local short = cluster:spawnIsolate("/short", function(context)
        context:sleep(0)
      end)
      for _ = 1, 3 do
        cluster:spawnIsolate("/monitor/", function(context)
          context:monitor(context:property "short", function(ref, reason)
            context:property "to":send { who = context.path, ref = ref,
              reason = reason }
          end)
        end, { short = short, to = probe.ref })
      end
      cluster:advance(1)

      local values = probe:messages()
      assert.equal(3, #values)
      for _, list in pairs(byWho(values)) do
        assert.equal(1, #list)
        assert(list[1].ref == short)
        assert.equal("done", list[1].reason)
      end
    end)
  end)

  it("a shutdown amid spawns and sends leaves nobody, and loses no count",
    function()
      local function breeder(context)
        context:onMessage(function(depth)
          if depth > 0 then
            for _ = 1, 2 do
              local ref = context:spawnIsolate("/bred/",
                context:property "again", { again = context:property "again" })
              if ref then ref:send(depth - 1) end
            end
          end
          for _, ref in ipairs(context:lookupIsolates "/bred/" or {}) do
            ref:send(0)
          end
        end)
      end
      local file = os.tmpname() .. ".lua"
      local out <close> = assert(io.open(file, "w"))
      out:write(([[
        local bytes = %q
        return load(bytes, "breeder", "b")(...)
      ]]):format(string.dump(breeder)))
      out:close()

      forSeeds(function(cluster, seed)
        local ups, downs = 0, 0
        cluster.onIsolateUp:listen(function() ups = ups + 1 end)
        cluster.onIsolateDown:listen(function(ref)
          assert(not ref.alive)
          downs = downs + 1
        end)
        local first = cluster:spawnIsolate("/bred/", file, { again = file })
        local sent = first:send(2) and 1 or 0
        if seed % 2 == 0 then cluster:settle(0) end

        assert.is_true(cluster:shutdown(100))

        local stats = cluster:stats()
        assert.equal(0, stats.live)
        assert.equal(stats.spawned, stats.ended)
        assert.equal(ups, downs)
        assert.equal(stats.spawned, ups)
        assert.equal(stats.sent + sent, stats.received + stats.deadLetters)
      end)
      os.remove(file)
      os.remove((file:gsub("%.lua$", "")))
    end)

  it("a supervisor has its children back, whoever fails", function()
    local function child(context)
      context:onMessage(function(order)
        if order == "end" then context:shutdownIsolate() end
        if order == "fail" then os.exit(false) end
      end)
    end
    local strategies = { "oneForOne", "oneForAll", "restForOne" }

    forSeeds(function(cluster, seed)
      local children = {}
      for i = 1, 3 do children[i] = { path = "c" .. i, entry = child } end
      cluster:spawnIsolate("/sup", IsolateCluster.supervisor {
        strategy = strategies[seed % 3 + 1],
        maxRestarts = math.huge, within = 5,
        backoff = { first = 1, max = 10, factor = 2 },
        children = children,
      })
      for i = 1, 3 do
        local ref = cluster:lookupIsolate("/sup/c" .. (seed + i) % 3 + 1)
        if ref then ref:send(i % 2 == 0 and "end" or "fail") end
      end
      cluster:advance(100)

      for i = 1, 3 do
        local ref = cluster:lookupIsolate("/sup/c" .. i)
        assert(ref and ref.alive, "no child " .. i)
      end
      assert.is_true(cluster:shutdown(100))
      assert.equal(0, cluster:stats().live)
    end)
  end)
end)
