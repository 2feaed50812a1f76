-- check_spec.lua - the sentences that say what was expected and what came, and
-- whose line they name.

require "isolate_cluster"
local check = require "isolate_cluster.check"
local refusal = require "spec.support.refusal"

-- The text that the check raises for the caller of a function that checks.
local function complaintOf(name, ...)
  local function publicFunction(...) check[name](...) end
  local arguments = table.pack(...)
  return refusal.of(function()
    publicFunction(table.unpack(arguments, 1, arguments.n))
  end)
end

describe("check.describe", function()
  it("shows what is short, and names the type of the rest", function()
    local texts = {}
    for i, value in ipairs { "text", 5, 1.5, true, {}, print, io.stdout,
      coroutine.create(print) } do
      texts[i] = check.describe(value)
    end

    assert.same({ "the string 'text'", "5", "1.5", "true", "a table",
      "a function", "a userdata", "a thread" }, texts)
    assert.equal("nil", check.describe(nil))
  end)
end)

describe("check.self", function()
  local Class = {}

  it("is content with an object of the class", function()
    check.self(setmetatable({}, Class), Class, "cluster:wait")
  end)

  it("tells of the colon when another value came", function()
    local text = complaintOf("self", 5, Class, "cluster:wait")

    assert.equal("cluster:wait is a method: write cluster:wait(...), with a "
      .. "colon (cluster expected before it, got 5)", text)
  end)

  it("tells of the colon when nothing came, or a plain table", function()
    assert.matches("got nil", complaintOf("self", nil, Class, "timer:cancel"))
    assert.matches("got a table",
      complaintOf("self", {}, Class, "timer:cancel"))
  end)
end)

describe("check.is", function()
  it("is content with a value of the type", function()
    check.is("text", "string", "a path")
  end)

  it("says what is expected and what came", function()
    assert.equal("a path must be a string, got 5",
      complaintOf("is", 5, "string", "a path"))
    assert.equal("a path must be a string, got nil",
      complaintOf("is", nil, "string", "a path"))
  end)
end)

describe("check.optional", function()
  it("is content with nil and with a value of the type", function()
    check.optional(nil, "table", "the properties")
    check.optional({}, "table", "the properties")
  end)

  it("refuses another type, false included", function()
    assert.equal("the properties must be a table or nil, got false",
      complaintOf("optional", false, "table", "the properties"))
  end)
end)

describe("check.seconds", function()
  it("is content with 0, fractions and infinity", function()
    for _, seconds in ipairs { 0, 0.25, 10, math.huge } do
      check.seconds(seconds, "the delay")
    end
  end)

  it("is content with nil only where that is an option", function()
    check.seconds(nil, "the timeout", true)
    assert.equal("the timeout must be a number of seconds, got nil",
      complaintOf("seconds", nil, "the timeout"))
  end)

  it("refuses less than 0 and what is no number", function()
    assert.equal("the delay must be 0 seconds or more, got -1",
      complaintOf("seconds", -1, "the delay"))
    assert.equal("the delay must be a number of seconds, got the string '1'",
      complaintOf("seconds", "1", "the delay"))
    assert.matches("must be 0 seconds or more, got %-?nan",
      complaintOf("seconds", 0 / 0, "the delay"))
  end)
end)

describe("check.options", function()
  local KNOWN = { timeout = true, type = true }

  it("is content with nothing, and with known keys", function()
    check.options(nil, KNOWN, "ref:request")
    check.options({}, KNOWN, "ref:request")
    check.options({ timeout = 1, type = "t" }, KNOWN, "ref:request")
  end)

  it("names the unknown key and those that are known, sorted", function()
    assert.equal("unknown option the string 'timeuot' of ref:request; "
      .. "it knows timeout, type",
      complaintOf("options", { timeuot = 1 }, KNOWN, "ref:request"))
    assert.equal("unknown option 1 of ref:request; it knows timeout, type",
      complaintOf("options", { "timeout" }, KNOWN, "ref:request"))
  end)

  it("says where there are none yet", function()
    assert.equal("unknown option the string 'name' of singleNode; "
      .. "it has none yet",
      complaintOf("options", { name = "n" }, {}, "singleNode"))
  end)

  it("refuses what is no table", function()
    assert.equal("the options of ref:request must be a table, got 5",
      complaintOf("options", 5, KNOWN, "ref:request"))
  end)
end)
