-- sandbox_spec.lua - what two sandboxes have in common, and what an option
-- becomes. What is in force inside: spec/behaviour/sandbox_spec.lua.

require "isolate_cluster"
local sandbox = require "isolate_cluster.sandbox"

local function reach(...) return { reach = { ... } } end

-- The reach of what both allow, as one text.
local function meeting(a, b)
  local met = sandbox.meet(sandbox.read(a, 1), sandbox.read(b, 1))
  return met.reach and table.concat(met.reach, " ")
end

describe("sandbox.read", function()
  it("makes sets of lists, and knows the default numbers", function()
    assert.same({ globals = { io = true }, require = { json = true },
      reach = { "/a/", "/b" }, sourceSize = 1024 * 1024, isolates = 1000 },
      sandbox.read({ base = "safe", globals = { "io" }, require = { "json" },
        reach = { "/b", "/a/" } }, 1))
  end)

  it("has nothing for none, and nothing more than the base for safe", function()
    assert.is_nil(sandbox.read("none", 1))
    assert.same({ globals = {}, require = {}, sourceSize = 1024 * 1024,
      isolates = 1000 }, sandbox.read("safe", 1))
  end)
end)

describe("What two sandboxes allow", function()
  it("is the longer of prefixes of which one begins the other", function()
    assert.equal("/a/b/", meeting(reach "/a/", reach "/a/b/"))
    assert.equal("/a/b/", meeting(reach "/a/b/", reach "/a/"))
    assert.equal("/a/b", meeting(reach "/a/b", reach "/"))
  end)

  it("is nothing where they lie apart", function()
    assert.equal("", meeting(reach "/a/", reach "/b/"))
    assert.equal("", meeting(reach "/a", reach "/ab"))
    assert.equal("", meeting(reach "/a", reach "/a/"))
    assert.equal("", meeting(reach(), reach "/"))
  end)

  it("is what the one says where the other says nothing", function()
    assert.equal("/a/", meeting(reach "/a/", "safe"))
    assert.equal("/a/", meeting({}, reach "/a/"))
    assert.is_nil(meeting("safe", {}))
  end)

  it("is all pairs of several", function()
    assert.equal("/a/x/ /b/",
      meeting(reach("/a/", "/b/"), reach("/a/x/", "/b/", "/c/")))
  end)

  it("is the smaller numbers, and the names that both have", function()
    local met = sandbox.meet(
      sandbox.read({ globals = { "io", "os" }, sourceSize = 10 }, 1),
      sandbox.read({ globals = { "os", "debug" }, require = { "a" },
        isolates = 5 }, 1))

    assert.same({ globals = { os = true }, require = {}, sourceSize = 10,
      isolates = 5 }, met)
  end)
end)
