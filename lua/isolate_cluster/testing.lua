-- testing.lua - clusters for tests: what isolates print is captured, probes
-- hear what they send, an order by seed and a clock of their own can be had,
-- and what a test leaves behind is found.

local check = require "isolate_cluster.check"
local core = require "isolate_cluster.core"
local loop = require "isolate_cluster.loop"
local Cluster = require "isolate_cluster.cluster"
local IsolateCluster = require "isolate_cluster"
local Probe = require "isolate_cluster.probe"
local report = require "isolate_cluster.test_report"
local runner = require "isolate_cluster.test_runner"

local testing = {}

local DEFAULT_SEED = 1 -- where virtual time is asked for, and no seed
local DEADLINE = 10 -- seconds, for what ends soon where nothing is wrong
local DESCRIPTOR_DEADLINE = 1 -- likewise, once all threads have ended

-- What finish has to look at.
local open = {} ---@type isolate_cluster.TestCluster[]
local before ---@type { threads: integer, descriptors: table<integer, string> }

-- By cluster: the test that has made it.
local madeIn = setmetatable({}, { __mode = "k" })

-- --- A cluster's methods ---------------------------------------------------

---@class isolate_cluster.TestCluster: isolate_cluster.Cluster
---@field seed integer|false false where threads run the isolates
---@field time "real"|"virtual"
local methods = {}

local handles = setmetatable({}, { __mode = "k" })

-- The host script is overtaken by isolates not only where it waits.
local function breathe(cluster)
  if cluster.seed then core.breathe(handles[cluster]) end
end

for _, name in ipairs { "spawnIsolate", "lookupIsolate", "lookupIsolates",
  "shutdown" } do
  local method = Cluster[name]
  methods[name] = function(self, ...)
    if handles[self] then breathe(self) end
    return method(self, ...)
  end
end

---An isolate that records what it is sent; at [path], or at a generated one
---below /probe/.
---@return isolate_cluster.Probe
function methods:probe(path)
  check.self(self, Cluster, "cluster:probe")
  check.optional(path, "string", "a path")
  local probe = Probe.new(self, path)
  return probe
end

---Lets [seconds] go by, and then all that is due.
function methods:advance(seconds)
  check.self(self, Cluster, "cluster:advance")
  check.seconds(seconds, "the time to go by")
  loop.await(loop.ticket(), seconds)
  return self:settle(DEADLINE)
end

---What isolates did in which order; the same for the same seed.
---@return string[] lines
function methods:trace()
  check.self(self, Cluster, "cluster:trace")
  if not self.seed then
    error("cluster:trace wants a cluster with a seed, or virtual time", 2)
  end
  local lines = {}
  for line in core.trace(handles[self]):gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  return lines
end

-- The records of the kinds in [wanted], of one isolate or of all.
local function recordsOf(cluster, wanted, path)
  local found = {}
  for _, record in ipairs(core.captureRecords(handles[cluster])) do
    if wanted[record.kind] and (not path or record.path == path) then
      found[#found + 1] = record
    end
  end
  return found
end

---What isolates, or the ones at [path], have written to stdout and stderr.
---@return string
function methods:output(path)
  check.self(self, Cluster, "cluster:output")
  check.optional(path, "string", "a path")
  local texts = {}
  local records = recordsOf(self, { output = true, errors = true }, path)
  for i, record in ipairs(records) do texts[i] = record.text end
  return table.concat(texts)
end

---The errors that nobody caught, of all isolates or of the ones at [path].
---@return { path: string, text: string }[]
function methods:errors(path)
  check.self(self, Cluster, "cluster:errors")
  check.optional(path, "string", "a path")
  local errors = {}
  for i, record in ipairs(recordsOf(self, { report = true }, path)) do
    errors[i] = { path = record.path, text = record.text }
  end
  return errors
end

---What there is to know after a failure: the seed, the isolates, what they
---wrote, what was reported of them, and the end of the trace.
---@return string
function methods:report()
  check.self(self, Cluster, "cluster:report")
  return report.of(self, core.captureRecords(handles[self]))
end

-- --- Making one ------------------------------------------------------------

local function environmentSeed()
  local text = os.getenv "ISOLATE_SEED"
  if not text or text == "" then return nil end
  return math.tointeger(tonumber(text))
    or error(("ISOLATE_SEED must be an integer, got '%s'"):format(text), 0)
end

-- Takes our own options out of [options], which is a copy.
local function takeOptions(options)
  local seed, time = options.seed, options.time
  options.seed, options.time = nil, nil
  if seed ~= nil and math.type(seed) ~= "integer" then
    error(("option 'seed' must be an integer, got %s")
      :format(check.describe(seed)), 3)
  end
  if time ~= nil and time ~= "real" and time ~= "virtual" then
    error(("option 'time' must be 'real' or 'virtual', got %s")
      :format(check.describe(time)), 3)
  end
  seed = seed or environmentSeed() or time == "virtual" and DEFAULT_SEED or nil
  return seed, time or (seed and "virtual" or "real")
end

local driven ---@type isolate_cluster.TestCluster? the one that is simulated

local function checkDriven()
  if driven and driven.up then
    error("a simulated cluster is up already; shut it down first", 3)
  end
end

-- A script that sends may be overtaken too. The text of an error names the line
-- of the script.
local function wrapMethod(name)
  local methodsOfRefs = core.refMethods
  local method = methodsOfRefs[name]
  local function pass(ok, ...)
    if ok then return ... end
    local text = ...
    if type(text) ~= "string" then error(text, 0) end
    error((text:gsub("^isolate_cluster%.testing:%d+: ", "")), 2)
  end
  methodsOfRefs[name] = function(...)
    if not (driven and driven.up) then return method(...) end
    breathe(driven)
    return pass(pcall(method, ...))
  end
end

local function wrapMethods()
  wrapMethod "send"
  wrapMethod "request"
  wrapMethods = function() end
end

-- The next test would be blamed for what one that does not finish has left.
local function checkForgotten()
  for _, cluster in ipairs(open) do
    local test = madeIn[cluster]
    if cluster.up and test and test ~= runner.test() then
      error(("the test '%s' has left its cluster up: testing.finish() in "
        .. "after_each shuts it down"):format(test.name), 3)
    end
  end
end

---Starts a cluster for a test: singleNode's options, and `seed`, by which
---isolates run one at a time, and `time`, "real" or "virtual". A seed that is
---given, here or by ISOLATE_SEED, makes time virtual unless this says "real";
---virtual time has seed 1 if none is given. There is one simulated cluster at a
---time.
---@return isolate_cluster.TestCluster
function testing.cluster(options)
  check.optional(options, "table", "the options of testing.cluster")
  local rest = {}
  for key, value in next, options or {} do rest[key] = value end
  local seed, time = takeOptions(rest)
  checkForgotten()
  if seed then checkDriven() end
  if #open == 0 then
    before = {
      threads = core.countThreads(), descriptors = core.listDescriptors(),
    }
  end
  local cluster = IsolateCluster.singleNode(rest)
  local more = setmetatable({ seed = seed or false, time = time },
    { __index = methods })
  local handle = Cluster.extend(cluster, more)
  handles[cluster] = handle
  core.startCapture(handle)
  if seed then
    core.simulate(handle, seed, time == "virtual")
    driven = cluster
    wrapMethods()
  end
  open[#open + 1] = cluster
  madeIn[cluster] = runner.test()
  return cluster
end

-- --- What is left ----------------------------------------------------------

-- Shuts a cluster down; false if somebody did not agree to it. Who sleeps for
-- good is not waited for; in a simulated one that takes no time.
local function shutDown(cluster)
  local handle = handles[cluster]
  local deadline = core.now() + DEADLINE
  core.beginShutdown(handle, DEADLINE)
  while not cluster.seed and cluster.up and core.now() < deadline
    and not core.refusesToEnd(handle) do
    loop.await(loop.ticket(), 0.001)
  end
  return cluster:shutdown(cluster.seed and DEADLINE or 0)
end

-- Adds to [problems] who did not agree to the end of a cluster; what there is
-- to tell of it then.
local function close(cluster, problems)
  if not cluster.up then return nil end
  local isolates = report.isolates(cluster)
  local killed = {}
  cluster.onIsolateDown:listen(function(ref, reason)
    if reason == "killed" then killed[#killed + 1] = ref.path end
  end)
  if shutDown(cluster) then return nil end
  table.sort(killed)
  problems[#problems + 1] = "had to be stopped by force: "
    .. table.concat(killed, ", ")
  return report.of(cluster, core.captureRecords(handles[cluster]), isolates)
end

-- Those descriptors that were not there before; a list of what they lead to.
local function newDescriptors()
  local targets = {}
  for descriptor, target in pairs(core.listDescriptors()) do
    if before.descriptors[descriptor] ~= target then
      targets[#targets + 1] = target
    end
  end
  table.sort(targets)
  return targets
end

local function countNewDescriptors()
  local count = 0
  for _ in pairs(core.listDescriptors()) do count = count + 1 end
  for _ in pairs(before.descriptors) do count = count - 1 end
  return count
end

-- Waits for at most so many seconds until count(), how many are more than
-- before, is 0; and gives that.
local function awaitNone(count, seconds)
  local deadline = core.now() + seconds
  local left = count()
  while left > 0 and core.now() < deadline do
    loop.await(loop.ticket(), 0.001)
    left = count()
  end
  return left
end

local function describeLeft(count, name)
  return ("%d %s left"):format(count, count == 1 and name .. " is"
    or name .. "s are")
end

-- What is more than before, though it had its time to go.
local function findLeft(problems)
  local threads = awaitNone(function()
    return core.countThreads() - before.threads
  end, DEADLINE)
  if threads > 0 then
    problems[#problems + 1] = describeLeft(threads, "thread")
  end
  if countNewDescriptors() > 0 then collectgarbage() end -- files left open
  local descriptors = awaitNone(countNewDescriptors, DESCRIPTOR_DEADLINE)
  if descriptors > 0 then
    problems[#problems + 1] = describeLeft(descriptors, "descriptor") .. ": "
      .. table.concat(newDescriptors(), ", ")
  end
end

---For after each test: shuts down every cluster that testing.cluster has made
---since the last call; raises if an isolate had to be stopped by force, or if
---threads or descriptors are left that were not there before.
function testing.finish()
  local clusters = open
  open = {}
  if #clusters == 0 then return end
  local problems, reports = {}, {}
  for _, cluster in ipairs(clusters) do
    reports[#reports + 1] = close(cluster, problems)
  end
  driven = nil
  findLeft(problems)
  if #problems == 0 then return end
  local test = runner.lastTest()
  local title = test and ("after the test '%s':\n"):format(test.name) or ""
  table.move(reports, 1, #reports, #problems + 1, problems)
  error(title .. table.concat(problems, "\n"), 2)
end

runner.listen {
  failed = function(test, text)
    for _, cluster in ipairs(open) do
      local isOf = madeIn[cluster] == nil or madeIn[cluster] == test
      if isOf then report.tell(cluster, test and test.name, text) end
    end
  end,
  over = function()
    local left
    for _, cluster in ipairs(open) do left = cluster.up and cluster or left end
    if not left then return end
    local test = madeIn[left]
    open = {}
    io.stderr:write(("isolate_cluster.testing: a cluster%s was left up; "
      .. "testing.finish() in after_each shuts it down\n"):format(
        test and (" of the test '%s'"):format(test.name) or ""))
    error "a cluster was left up"
  end,
}

-- --- Many seeds ------------------------------------------------------------

-- The text of an error, and the calls from fn on that led to it.
local function describeError(fn, value)
  local text, trace = loop.describeError(value), debug.traceback("", 3)
  local depth, level = nil, 3
  while not depth and debug.getinfo(level, "f") do
    if debug.getinfo(level, "f").func == fn then depth = level - 2 end
    level = level + 1
  end
  local lines = {}
  for line in trace:gmatch "[^\n]+" do lines[#lines + 1] = line end
  -- Longer ones are not told as a whole.
  local shown = depth and depth < 10 and depth + 1 or #lines
  return text .. "\n" .. table.concat(lines, "\n", 1, shown)
end

-- Runs fn with one seed; nil, or what went wrong.
local function trySeed(fn, options, seed)
  options.seed = seed
  local cluster = testing.cluster(options)
  local ok, text = xpcall(fn, function(value)
    return describeError(fn, value)
  end, cluster, seed)
  local told = not ok and cluster:report()
  local finished, left = pcall(testing.finish)
  if not ok then return text .. "\n" .. told end
  if not finished then return left end
end

---Calls fn(cluster, seed) with a cluster of its own for each seed from 1 to
---[n], or for ISOLATE_SEED alone; raises for the first one that fails.
---@param n integer
---@param fn fun(cluster: isolate_cluster.TestCluster, seed: integer)
---@param options? table of testing.cluster
function testing.seeds(n, fn, options)
  if math.type(n) ~= "integer" or n < 1 then
    error(("testing.seeds wants how many seeds, got %s")
      :format(check.describe(n)), 2)
  end
  check.is(fn, "function", "what testing.seeds calls")
  check.optional(options, "table", "the options of testing.seeds")
  local copy = {}
  for key, value in next, options or {} do copy[key] = value end
  local only = environmentSeed()
  for seed = only or 1, only or n do
    local text = trySeed(fn, copy, seed)
    if text then
      error(("seed %d of %d failed; ISOLATE_SEED=%d runs it alone\n%s")
        :format(seed, n, seed, text), 2)
    end
  end
end

return testing
