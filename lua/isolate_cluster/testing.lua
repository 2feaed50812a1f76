-- testing.lua - clusters for tests: what isolates print is captured, probes
-- hear what they send, an order by seed and a clock of their own can be had,
-- and what a test leaves behind is found.

local check = require "isolate_cluster.check"
local core = require "isolate_cluster.core"
local loop = require "isolate_cluster.loop"
local Cluster = require "isolate_cluster.cluster"
local IsolateCluster = require "isolate_cluster"
local Probe = require "isolate_cluster.probe"

local testing = {}

local DEFAULT_SEED = 1 -- where virtual time is asked for, and no seed
local DEADLINE = 10 -- seconds, for what ends soon where nothing is wrong
local REPORTED_LINES = 20 -- of the trace

-- What finish has to look at.
local open = {} ---@type isolate_cluster.TestCluster[]
local countsBefore ---@type table<string, integer>

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
  return Probe.new(self, path)
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

-- --- Reports ---------------------------------------------------------------

local function addIsolates(lines, cluster)
  local isolates = cluster:stats().isolates
  local paths = {}
  for path in pairs(isolates) do paths[#paths + 1] = path end
  table.sort(paths)
  lines[#lines + 1] = #paths == 0 and "no isolate lives" or "isolates:"
  for _, path in ipairs(paths) do
    local figures = isolates[path]
    lines[#lines + 1] = ("  %s: %d in the mailbox, %d received, %d sent")
      :format(path, figures.mailbox, figures.received, figures.sent)
  end
end

local function addLines(lines, title, path, text)
  lines[#lines + 1] = ("%s %s:"):format(title, path)
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = "  " .. line end
end

local function addTrace(lines, cluster)
  local trace = cluster:trace()
  local first = math.max(1, #trace - REPORTED_LINES + 1)
  lines[#lines + 1] = first > 1 and "the end of the trace:" or "trace:"
  for i = first, #trace do lines[#lines + 1] = "  " .. trace[i] end
end

---What there is to know after a failure: the seed, the isolates, what they
---wrote, their errors, and the end of the trace.
---@return string
function methods:report()
  check.self(self, Cluster, "cluster:report")
  local lines = {}
  if self.seed then
    lines[1] = ("seed %d: ISOLATE_SEED=%d runs it again, with %s time")
      :format(self.seed, self.seed, self.time)
  end
  addIsolates(lines, self)
  for _, record in ipairs(core.captureRecords(handles[self])) do
    local title = record.kind == "report" and "error in" or "written by"
    addLines(lines, title, record.path, record.text)
  end
  if self.seed then addTrace(lines, self) end
  return table.concat(lines, "\n")
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

local function count()
  return {
    threads = core.countThreads(),
    descriptors = core.countDescriptors(),
  }
end

local listenToBusted -- below

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
  if seed then checkDriven() end
  listenToBusted()
  if #open == 0 then countsBefore = count() end
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
  return cluster
end

-- --- What is left ----------------------------------------------------------

-- Shuts a cluster down, and adds to [problems] who did not agree to it.
local function close(cluster, problems)
  if not cluster.up then return end
  local killed = {}
  cluster.onIsolateDown:listen(function(ref, reason)
    if reason == "killed" then killed[#killed + 1] = ref.path end
  end)
  if cluster:shutdown(DEADLINE) then return end
  table.sort(killed)
  problems[#problems + 1] = "had to be stopped by force: "
    .. table.concat(killed, ", ")
end

-- What was more than before, when all had its time to go.
local function findLeft(problems)
  local deadline = core.now() + DEADLINE
  for _, kind in ipairs { "threads", "descriptors" } do
    local left = count()[kind] - countsBefore[kind]
    if left > 0 then collectgarbage() end -- files that nobody has closed
    while left > 0 and core.now() < deadline do
      loop.await(loop.ticket(), 0.001)
      left = count()[kind] - countsBefore[kind]
    end
    if left > 0 then
      problems[#problems + 1] = ("%d %s are left"):format(left, kind)
    end
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
    local before = #problems
    close(cluster, problems)
    if #problems > before then reports[#reports + 1] = cluster:report() end
  end
  driven = nil
  findLeft(problems)
  if #problems == 0 then return end
  error(table.concat(problems, "\n") .. "\n" .. table.concat(reports, "\n"), 2)
end

-- Where busted runs, a failure tells of the clusters that are up: whatever
-- failed, the seed is printed.
local function tellOfFailure()
  for _, cluster in ipairs(open) do
    io.stderr:write("isolate_cluster.testing: the cluster of a failed test\n",
      cluster:report(), "\n")
  end
  return nil, true
end

function listenToBusted()
  listenToBusted = function() end
  local busted = package.loaded.busted
  if type(busted) ~= "table" or not busted.subscribe then return end
  busted.subscribe({ "failure" }, tellOfFailure)
  busted.subscribe({ "error" }, tellOfFailure)
end

-- --- Many seeds ------------------------------------------------------------

local function describeError(value)
  return debug.traceback(loop.describeError(value), 2)
end

-- Runs fn with one seed; nil, or what went wrong.
local function trySeed(fn, options, seed)
  options.seed = seed
  local cluster = testing.cluster(options)
  local ok, text = xpcall(fn, describeError, cluster, seed)
  local report = not ok and cluster:report()
  local finished, left = pcall(testing.finish)
  if not ok then return text .. "\n" .. report end
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
        :format(seed, n, seed, text), 0)
    end
  end
end

return testing
