-- paths_spec.lua - the rules of paths, and looking isolates up by them.

local Probe = require "spec.support.probe"
local refusal = require "spec.support.refusal"

local MALFORMED = {
  -- path, what is said of it
  { "", "it must begin with '/'" },
  { "a", "it must begin with '/'" },
  { "a/b", "it must begin with '/'" },
  { " /a", "it must begin with '/'" },
  { "//", "a segment is empty" },
  { "//a", "a segment is empty" },
  { "/a//b", "a segment is empty" },
  { "/a//", "a segment is empty" },
  { "/.", "a segment is '.'" },
  { "/..", "a segment is '..'" },
  { "/a/.", "a segment is '.'" },
  { "/a/../b", "a segment is '..'" },
  { "/./a", "a segment is '.'" },
  { "/a/../", "a segment is '..'" },
  { "/a b", "a segment may have letters, digits and -._~ only" },
  { "/a?b", "a segment may have letters, digits and -._~ only" },
  { "/%41", "a segment may have letters, digits and -._~ only" },
  { "/a\\b", "a segment may have letters, digits and -._~ only" },
  { "/a\n", "a segment may have letters, digits and -._~ only" },
  { "/*", "a segment may have letters, digits and -._~ only" },
  { "/ä", "a segment may have letters, digits and -._~ only" },
  { "/a\0b", "it holds a byte 0" },
  { "/" .. ("x"):rep(256), "a segment has more than 255 bytes" },
  { "/a/" .. ("x"):rep(256) .. "/b", "a segment has more than 255 bytes" },
  { ("/" .. ("x"):rep(204)):rep(5), "it has more than 1,024 bytes" },
}

local WELL_FORMED = {
  "/a", "/A/b/C", "/0", "/...", "/.a", "/a.", "/..a", "/-._~", "/~", "/_",
  "/abcdefghijklmnopqrstuvwxyz/ABCDEFGHIJKLMNOPQRSTUVWXYZ/0123456789",
  "/" .. ("x"):rep(255),
  ("/" .. ("x"):rep(255)):rep(4),
  ("/x"):rep(512),
}

describe("A path", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  for _, case in ipairs(MALFORMED) do
    local path, complaint = case[1], case[2]
    local wanted = ("malformed path '%s': %s"):format(path, complaint)

    it(("%q is refused"):format(path:gsub("%c", "?"):sub(1, 20)), function()
      local spawning = refusal.of(function()
        cluster:spawnIsolate(path, "spec.support.idle")
      end)
      local lookingUp = refusal.of(function() cluster:lookupIsolate(path) end)

      assert.equal(wanted, spawning)
      assert.equal(wanted, (lookingUp:gsub("it must end.*", complaint)))
    end)
  end

  it("that is malformed is refused to isolates too", function()
    local texts = probe:inside(function(context)
      local raised = require("spec.support.refusal").of
      return {
        raised(function() context:spawnIsolate("/a b", "x") end),
        raised(function() context:lookupIsolate "/a b" end),
        raised(function() context:lookupIsolates "/a b/" end),
        raised(function() context:group "/a b/" end),
      }
    end)

    local complaint = ": a segment may have letters, digits and -._~ only"
    assert.same({
      "malformed path '/a b'" .. complaint,
      "malformed path '/a b'" .. complaint,
      "malformed path '/a b/'" .. complaint,
      "malformed path '/a b/'" .. complaint,
    }, texts)
  end)

  it("that is well-formed names an isolate", function()
    for _, path in ipairs(WELL_FORMED) do
      local ref = assert(cluster:spawnIsolate(path, "spec.support.idle"))
      assert.equal(path, ref.path)
      assert.equal(ref, cluster:lookupIsolate(path))
    end
  end)

  it("must leave room for a generated segment", function()
    local fits = ("/" .. ("x"):rep(255)):rep(3) .. "/" .. ("x"):rep(253) .. "/"
    local tooLong = fits:sub(1, -2) .. "x/"
    assert.equal(1024, #tooLong)

    local ref = assert(cluster:spawnIsolate(fits, "spec.support.idle"))
    local text = refusal.of(function()
      cluster:spawnIsolate(tooLong, "spec.support.idle")
    end)

    assert.equal(fits .. "1", ref.path)
    assert.equal(("malformed path '%s': with a generated segment it has more "
      .. "than 1,024 bytes"):format(tooLong), text)
  end)

  it("in use is refused with a code", function()
    local first = cluster:spawnIsolate("/foo", "spec.support.idle")

    local byModule = { cluster:spawnIsolate("/foo", "spec.support.idle") }
    local byFunction = { cluster:spawnIsolate("/foo", function() end) }
    local byFile = { cluster:spawnIsolate("/foo", "spec/support/idle.lua") }

    local wanted = { nil, "path in use: /foo", "in use" }
    assert.same(wanted, byModule)
    assert.same(wanted, byFunction)
    assert.same(wanted, byFile)
    assert.is_true(first.alive)
    assert.equal(first, cluster:lookupIsolate "/foo")
  end)

  it("is free again when its isolate has ended", function()
    local first = probe:spawn("/foo", function() end)
    probe:reasonOf(first)

    local second = cluster:spawnIsolate("/foo", "spec.support.idle")

    assert.equal("/foo", second.path)
    assert.are_not.equal(first, second)
    assert.equal(second, cluster:lookupIsolate "/foo")
  end)
end)

describe("A look-up", function()
  local probe, cluster

  before_each(function()
    probe = Probe.new()
    cluster = probe.cluster
  end)

  after_each(function() probe:close() end)

  local function paths(refs)
    local list = {}
    for i, ref in ipairs(refs) do list[i] = ref.path end
    return list
  end

  it("of nobody's path gives nil, a text and a code", function()
    local ref, text, code = cluster:lookupIsolate "/nobody"

    assert.is_nil(ref)
    assert.equal("no isolate at /nobody", text)
    assert.equal("not found", code)
  end)

  it("of an isolate that has ended gives nil", function()
    local ref = probe:spawn("/short", function() end)
    probe:reasonOf(ref)

    assert.is_nil(cluster:lookupIsolate "/short")
  end)

  it("of a path does not find what is beneath it", function()
    cluster:spawnIsolate("/a/b", "spec.support.idle")

    assert.is_nil(cluster:lookupIsolate "/a")
  end)

  it("of a prefix lists all beneath it, sorted by path", function()
    for _, path in ipairs { "/w/b", "/w/c/d", "/w/a", "/w", "/wx/a", "/w/10",
                            "/w/2", "/x/w/a" } do
      assert(cluster:spawnIsolate(path, "spec.support.idle"))
    end

    assert.same({ "/w/10", "/w/2", "/w/a", "/w/b", "/w/c/d" },
      paths(cluster:lookupIsolates "/w/"))
    assert.same({ "/w/c/d" }, paths(cluster:lookupIsolates "/w/c/"))
  end)

  it("of / lists all", function()
    cluster:spawnIsolate("/a/b", "spec.support.idle")

    assert.same({ "/a/b", "/probe" }, paths(cluster:lookupIsolates "/"))
  end)

  it("of a prefix without isolates gives an empty list", function()
    assert.same({}, cluster:lookupIsolates "/workers/")
  end)

  it("of a prefix gives refs that can be sent to", function()
    cluster:spawnIsolate("/workers/a", "spec.support.echo")

    local reply = cluster:lookupIsolates("/workers/")[1]:request("hello",
      { timeout = 10 })

    assert.equal("hello", reply)
  end)

  it("wants a prefix that ends in /", function()
    local text = refusal.of(function() cluster:lookupIsolates "/workers" end)

    assert.equal("malformed path '/workers': a prefix must end in '/'", text)
  end)

  it("wants a path that does not", function()
    local text = refusal.of(function() cluster:lookupIsolate "/workers/" end)

    assert.matches("^malformed path '/workers/': ", text)
  end)

  it("wants a string", function()
    assert.equal("a path must be a string, got nil",
      refusal.of(function() cluster:lookupIsolate() end))
    assert.equal("a path must be a string, got 7",
      refusal.of(function() cluster:lookupIsolate(7) end))
    assert.equal("a prefix must be a string, got a table",
      refusal.of(function() cluster:lookupIsolates {} end))
  end)

  it("is the same for an isolate", function()
    cluster:spawnIsolate("/w/b", "spec.support.idle")
    cluster:spawnIsolate("/w/a", "spec.support.idle")

    local found = { probe:inside("/inside", function(context)
      local list = {}
      for i, ref in ipairs(context:lookupIsolates "/w/") do
        list[i] = ref.path
      end
      return context:lookupIsolate "/w/a", { context:lookupIsolate "/x" },
        list, context:lookupIsolates "/x/",
        context:lookupIsolate "/inside" == context.isolateRef
    end) }

    assert.equal(cluster:lookupIsolate "/w/a", found[1])
    assert.same({ nil, "no isolate at /x", "not found" }, found[2])
    assert.same({ "/w/a", "/w/b" }, found[3])
    assert.same({}, found[4])
    assert.is_true(found[5])
  end)
end)
