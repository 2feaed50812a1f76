-- test_report.lua - what there is to know of a cluster under test that has
-- failed.

local report = {}

local REPORTED_LINES = 20 -- of the trace

-- By cluster: the report that the text of a failure has.
local told = setmetatable({}, { __mode = "k" })

---The lines that tell of the isolates as they are now.
---@return string[]
function report.isolates(cluster)
  local isolates = cluster:stats().isolates
  local paths = {}
  for path in pairs(isolates) do paths[#paths + 1] = path end
  table.sort(paths)
  local lines = { #paths == 0 and "no isolate lives" or "isolates:" }
  for _, path in ipairs(paths) do
    local figures = isolates[path]
    lines[#lines + 1] = ("  %s: %d in the mailbox, %d received, %d sent")
      :format(path, figures.mailbox, figures.received, figures.sent)
  end
  return lines
end

local function addLines(lines, title, path, text)
  lines[#lines + 1] = ("%s %s:"):format(title, path)
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = "  " .. line end
end

-- A report of an end by a limit, or of one that is stuck, names its isolate.
local function addRecord(lines, record)
  local path, text = record.path, record.text
  if record.kind ~= "report" then
    addLines(lines, "written by", path, text)
  elseif text:sub(1, #path + 1) == path .. " " then
    lines[#lines + 1] = text
  else
    addLines(lines, "error in", path, text)
  end
end

local function addTrace(lines, cluster)
  local trace = cluster:trace()
  local first = math.max(1, #trace - REPORTED_LINES + 1)
  lines[#lines + 1] = first > 1 and "the end of the trace:" or "trace:"
  for i = first, #trace do lines[#lines + 1] = "  " .. trace[i] end
end

---@param records table[] what was captured
---@param isolates string[]? of an earlier moment; else as they are now
---@return string
function report.of(cluster, records, isolates)
  local lines = {}
  if cluster.seed then
    lines[1] = ("seed %d: ISOLATE_SEED=%d runs it again, with %s time")
      :format(cluster.seed, cluster.seed, cluster.time)
  end
  for _, line in ipairs(isolates or report.isolates(cluster)) do
    lines[#lines + 1] = line
  end
  for _, record in ipairs(records) do addRecord(lines, record) end
  if cluster.seed then addTrace(lines, cluster) end
  local text = table.concat(lines, "\n")
  told[cluster] = text
  return text
end

---Tells on stderr of the cluster of a failed test, if [text], which its runner
---shows, has not told of it.
---@param test string? its name
function report.tell(cluster, test, text)
  if told[cluster] and text:find(told[cluster], 1, true) then return end
  io.stderr:write(("\nisolate_cluster.testing: the cluster of %s\n%s\n")
    :format(test and ("the failed test '%s'"):format(test) or "a failed test",
      cluster:report()))
end

return report
