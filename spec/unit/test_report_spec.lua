-- test_report_spec.lua - what is told of a cluster whose test has failed.

local FakeCore = require "spec.support.fake_core"

describe("A report", function()
  local report, cluster, stderr
  local real = io.stderr

  before_each(function()
    report = FakeCore.new():load "test_report"
    cluster = { seed = false, isolates = {} }
    function cluster:stats() return { isolates = self.isolates } end
    function cluster:report() return report.of(self, {}) end
    stderr = {}
    io.stderr = { -- luacheck: ignore 122
      write = function(_, text) table.insert(stderr, text) end,
    }
  end)

  after_each(function() io.stderr = real end) -- luacheck: ignore 122

  it("lists the isolates by their paths", function()
    assert.same({ "no isolate lives" }, report.isolates(cluster))
    cluster.isolates = {
      ["/b"] = { mailbox = 1, received = 2, sent = 3 },
      ["/a"] = { mailbox = 0, received = 0, sent = 0 },
    }

    assert.same({
      "isolates:", "  /a: 0 in the mailbox, 0 received, 0 sent",
      "  /b: 1 in the mailbox, 2 received, 3 sent",
    }, report.isolates(cluster))
  end)

  it("tells what isolates wrote, and what was reported of them", function()
    local records = {
      { kind = "output", path = "/a", text = "one\ntwo\n" },
      { kind = "report", path = "/a", text = "a.lua:1: bad\nstack" },
      { kind = "report", path = "/a", text = "/a ended (cpu): why" },
    }

    assert.equal("no isolate lives\nwritten by /a:\n  one\n  two\n"
      .. "error in /a:\n  a.lua:1: bad\n  stack\n/a ended (cpu): why",
      report.of(cluster, records))
  end)

  it("may have the isolates of an earlier moment", function()
    assert.equal("isolates:\n  /then", report.of(cluster, {},
      { "isolates:", "  /then" }))
  end)

  it("begins with the seed, and ends with the end of the trace", function()
    cluster.seed, cluster.time = 42, "virtual"
    function cluster.trace()
      local lines = {}
      for i = 1, 25 do lines[i] = "line " .. i end
      return lines
    end

    local text = report.of(cluster, {})

    assert.matches("^seed 42: ISOLATE_SEED=42 runs it again, with virtual time",
      text)
    assert.matches("the end of the trace:\n  line 6\n", text, 1, true)
    assert.matches("line 25$", text)
  end)

  it("is told with the name of the test", function()
    report.tell(cluster, "it fails", "why")
    report.tell(cluster, nil, "why")

    assert.same({
      "\nisolate_cluster.testing: the cluster of the failed test 'it fails'\n"
        .. "no isolate lives\n",
      "\nisolate_cluster.testing: the cluster of a failed test\n"
        .. "no isolate lives\n",
    }, stderr)
  end)

  it("is not told again where the failure's text has it", function()
    local text = "expected more\n" .. cluster:report()

    report.tell(cluster, "it fails", text)

    assert.same({}, stderr)
  end)
end)
