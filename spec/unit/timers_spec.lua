-- timers_spec.lua - the heap of deadlines, with a clock that the spec moves.

local FakeCore = require "spec.support.fake_core"

describe("The timers", function()
  local core, timers, calls

  local function note(...) calls[#calls + 1] = table.concat({ ... }, " ") end

  before_each(function()
    core, calls = FakeCore.new(), {}
    timers = core:load "timers"
  end)

  it("call what is due with the two values, nearest first", function()
    timers.add(103, note, "third", 3)
    timers.add(101, note, "first", 1)
    timers.add(102, note, "second", 2)

    core:moveTo(102)

    assert.same({ "first 1", "second 2" }, calls)
  end)

  it("call nothing twice, and nothing early", function()
    timers.add(101, note, "once")
    core:moveTo(100.999)
    assert.same({}, calls)

    core:moveTo(101)
    core:moveTo(200)

    assert.same({ "once" }, calls)
  end)

  it("call those of one deadline in the order they were added", function()
    local wanted = {}
    for i = 1, 100 do
      timers.add(101, note, i)
      wanted[i] = tostring(i)
    end

    core:moveTo(101)

    assert.same(wanted, calls)
  end)

  it("announce the nearest deadline, and none when all are gone", function()
    local near = timers.add(105, note)
    local nearer = timers.add(103, note)
    assert.equal(103, core.deadline)

    timers.cancel(nearer)
    assert.equal(105, core.deadline)

    timers.cancel(near)
    assert.is_nil(core.deadline)
  end)

  it("know whether there are any", function()
    assert.is_false(timers.any())
    local entry = timers.add(101, note)
    assert.is_true(timers.any())

    timers.cancel(entry)

    assert.is_false(timers.any())
  end)

  it("don't mind a second cancel, or one that is too late", function()
    local cancelled = timers.add(101, note, "cancelled")
    local late = timers.add(102, note, "late")
    timers.cancel(cancelled)
    timers.cancel(cancelled)

    core:moveTo(102)
    timers.cancel(late)

    assert.same({ "late" }, calls)
    assert.is_false(timers.any())
  end)

  it("leave out one that another cancels at the same time", function()
    local second
    timers.add(101, function() timers.cancel(second) end)
    second = timers.add(101, note, "second")
    timers.add(101, note, "third")

    core:moveTo(101)

    assert.same({ "third" }, calls)
  end)

  it("let one that is due cancel itself", function()
    local entry
    entry = timers.add(101, function()
      timers.cancel(entry)
      note "self"
    end)

    core:moveTo(101)

    assert.same({ "self" }, calls)
    assert.is_false(timers.any())
  end)

  it("keep one that is added meanwhile for the next turn", function()
    core.time = 101
    timers.add(101, function()
      note "old"
      timers.add(101, note, "new")
    end)
    timers.add(101, note, "other")

    core:raise "timer"
    assert.same({ "old", "other" }, calls)
    assert.equal(101, core.deadline)

    core:raise "timer"
    assert.same({ "old", "other", "new" }, calls)
  end)

  it("call one again that puts itself back", function()
    local entry
    entry = timers.add(101, function()
      note(core.time)
      timers.again(entry, core.time + 10)
    end)

    core:moveTo(125)

    assert.same({ "101", "111", "121" }, calls)
    assert.equal(131, core.deadline)
  end)

  it("never announce what is infinitely far before what is near", function()
    timers.add(math.huge, note, "never")
    timers.add(101, note, "near")

    core:moveTo(1e9)

    assert.same({ "near" }, calls)
    assert.equal(math.huge, core.deadline)
  end)
end)

describe("The heap of timers", function()
  local COUNT = 4000

  -- The plain model: all entries, of which those that are due come sorted.
  local function takeDue(model, time)
    local due, left = {}, {}
    for _, entry in ipairs(model) do
      table.insert(entry.deadline <= time and due or left, entry)
    end
    table.sort(due, function(a, b)
      if a.deadline ~= b.deadline then return a.deadline < b.deadline end
      return a.number < b.number
    end)
    return due, left
  end

  it("does as a sorted list in thousands of random steps", function()
    local core, called, wanted = FakeCore.new(), {}, {}
    local timers = core:load "timers"
    local model = {}
    math.randomseed(42)
    local function note(number) called[#called + 1] = number end

    for number = 1, COUNT do
      local what = math.random(10)
      if what <= 6 then
        -- Whole seconds, so that many have the same deadline.
        local deadline = core.time + math.random(0, 40)
        local entry = timers.add(deadline, note, number)
        table.insert(model,
          { entry = entry, deadline = deadline, number = number })
      elseif what <= 9 and #model > 0 then
        timers.cancel(table.remove(model, math.random(#model)).entry)
      else
        local due
        due, model = takeDue(model, core.time + 5)
        for _, entry in ipairs(due) do wanted[#wanted + 1] = entry.number end
        core:moveTo(core.time + 5)
      end
    end
    local rest = takeDue(model, math.huge)
    for _, entry in ipairs(rest) do wanted[#wanted + 1] = entry.number end
    core:moveTo(1e6)

    assert.same(wanted, called)
    assert.is_true(#called > COUNT / 4)
    assert.is_false(timers.any())
  end)
end)
