-- test_runner.lua - which test busted is on, where it runs, and that one has
-- failed. Other runners are not known.

local runner = {}

---@class isolate_cluster.Test
---@field name string of its blocks and its own

local current ---@type isolate_cluster.Test? the one that runs
local last ---@type isolate_cluster.Test? the one that has run last

local function nameOf(busted, element, parent)
  local names = { element.name }
  while parent and parent.descriptor ~= "file" and parent.name do
    table.insert(names, 1, parent.name)
    parent = busted.parent(parent)
  end
  return table.concat(names, " ")
end

---The test that runs now; nil between two, and where no busted is.
---@return isolate_cluster.Test?
function runner.test()
  return current
end

---The test that runs, or, between two, the one before.
---@return isolate_cluster.Test?
function runner.lastTest()
  return current or last
end

---Calls failed(test, text) for each failure, and over() behind the last test,
---whose errors make the suite fail, but are shown by nobody.
---@param handlers { failed: function, over: function }
function runner.listen(handlers)
  local busted = package.loaded.busted
  if type(busted) ~= "table" or not busted.subscribe then return end
  local function tell(_, _, text)
    handlers.failed(current or last, tostring(text))
    return nil, true
  end
  busted.subscribe({ "failure" }, tell)
  busted.subscribe({ "error" }, tell)
  busted.subscribe({ "test", "start" }, function(element, parent)
    current = { name = nameOf(busted, element, parent) }
    return nil, true
  end)
  busted.subscribe({ "test", "end" }, function()
    last, current = current, nil
    return nil, true
  end)
  busted.subscribe({ "suite", "end" }, function()
    last = nil
    handlers.over()
    return nil, true
  end)
end

return runner
