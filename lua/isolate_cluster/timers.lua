-- timers.lua - what is due when: a binary heap of deadlines.
--
-- Every timer knows its place in the heap, so cancelling is as cheap as adding.
-- The C side is told the nearest deadline and raises the event "timer" then.

local core = require "isolate_cluster.core"

local timers = {}

---@class isolate_cluster.TimerEntry
---@field deadline number in seconds of core.now()
---@field order integer of equal deadlines, the lower is due first
---@field due fun(...) called with the two fields below
---@field first any
---@field second any
---@field place integer? where it is in the heap; nil: no longer there

local heap = {} ---@type isolate_cluster.TimerEntry[]
local size = 0
local lastOrder = 0

local function isBefore(a, b)
  if a.deadline ~= b.deadline then return a.deadline < b.deadline end
  return a.order < b.order
end

local function put(entry, place)
  heap[place] = entry
  entry.place = place
end

local function rise(entry, place)
  while place > 1 do
    local above = place // 2
    local parent = heap[above]
    if isBefore(parent, entry) then break end
    put(parent, place)
    place = above
  end
  put(entry, place)
end

local function sink(entry, place)
  while true do
    local below = place * 2
    if below > size then break end
    local child = heap[below]
    if below < size and isBefore(heap[below + 1], child) then
      below = below + 1
      child = heap[below]
    end
    if isBefore(entry, child) then break end
    put(child, place)
    place = below
  end
  put(entry, place)
end

local function announce()
  core.setDeadline(size > 0 and heap[1].deadline or nil)
end

local function remove(entry)
  local place = entry.place
  entry.place = nil
  local last = heap[size]
  heap[size] = nil
  size = size - 1
  if last == entry then return end
  if place > 1 and isBefore(last, heap[place // 2]) then
    rise(last, place)
  else
    sink(last, place)
  end
end

---Puts a timer that has been due into the heap again.
function timers.again(entry, deadline)
  lastOrder = lastOrder + 1
  entry.order = lastOrder
  entry.deadline = deadline
  size = size + 1
  rise(entry, size)
  if entry.place == 1 then announce() end
end

---Calls due(first, second) once the clock of core.now() shows [deadline].
---@return isolate_cluster.TimerEntry
function timers.add(deadline, due, first, second)
  local entry = { due = due, first = first, second = second }
  timers.again(entry, deadline)
  return entry
end

---Takes back a timer; one that was due already is left as it is.
function timers.cancel(entry)
  if not entry.place then return end
  local wasNearest = entry.place == 1
  remove(entry)
  if wasNearest then announce() end
end

---Whether a timer is set.
function timers.any()
  return size > 0
end

-- A timer that is added while these run waits for its own turn, even if it is
-- due at once; so a handler that adds one each time does not stop everything.
core.on("timer", function()
  local now, newest = core.now(), lastOrder
  local entry = heap[1]
  while entry and entry.deadline <= now and entry.order <= newest do
    remove(entry)
    entry.due(entry.first, entry.second)
    entry = heap[1]
  end
  announce()
end)

return timers
