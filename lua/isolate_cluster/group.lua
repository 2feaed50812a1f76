-- group.lua - all isolates beneath a prefix, sent to as one.
--
-- A group has no members of its own: whoever lives beneath the prefix when
-- something is sent is one. The list is looked up again only after an isolate
-- of the cluster came up or went down.

local check = require "isolate_cluster.check"
local class = require "isolate_cluster.class"
local core = require "isolate_cluster.core"

---@class isolate_cluster.Group
---@field prefix string
---@field private handle userdata
---@field private select "roundRobin"|"all"|fun(members, value): ref
---@field private members isolate_cluster.Ref[]
---@field private version integer? of the cluster, when members were looked up
---@field private turn integer which member was last: its index
local Group, meta = class "group"

local OPTIONS = { select = true }
local SEND_OPTIONS = { type = true, correlationId = true, replyTo = true }
local SELECTS = { roundRobin = true, all = true }

---Checks its arguments for the caller of the function that ends with this call.
---@param options? { select?: "roundRobin"|"all"|function }
function Group.new(handle, prefix, options)
  check.is(prefix, "string", "a group's prefix")
  local complaint = core.complaint(prefix, true)
  if complaint then
    error(("malformed path '%s': %s"):format(prefix, complaint), 2)
  end
  check.options(options, OPTIONS, "context:group")
  local select = options and options.select
  if select == nil then select = "roundRobin" end
  if not SELECTS[select] and type(select) ~= "function" then
    error(("option 'select' must be 'roundRobin', 'all' or a function, got %s")
      :format(check.describe(select)), 2)
  end
  return setmetatable({
    handle = handle, prefix = prefix, select = select, turn = 0,
  }, meta)
end

---The refs of those that live beneath the prefix now, sorted by path.
---@return isolate_cluster.Ref[]
function Group:list()
  check.self(self, meta, "group:list")
  local version = core.version(self.handle)
  if version ~= self.version then
    self.members = core.list(self.handle, self.prefix) or {}
    self.version = version
  end
  return table.move(self.members, 1, #self.members, 1, {})
end

-- One that ended a moment ago is passed over for the next.
local function sendInTurn(group, members, value, options)
  local text, code
  for _ = 1, #members do
    group.turn = group.turn % #members + 1
    local sent
    sent, text, code = members[group.turn]:send(value, options)
    if sent or code ~= "gone" then return sent, text, code end
  end
  return nil, text, code
end

local function sendToAll(members, value, options)
  local sent, text, code
  for _, ref in ipairs(members) do
    local ok, failure, name = ref:send(value, options)
    if ok then
      sent = true
    elseif name ~= "gone" then
      return nil, failure, name
    else
      text, code = failure, name
    end
  end
  if sent then return true end
  return nil, text, code
end

---Sends to one member, or to all, as the group selects: true, or nil, text and
---code; "not found" if there is no member.
function Group:send(...)
  check.self(self, meta, "group:send")
  if select("#", ...) == 0 then
    error("group:send wants a value to send, got nothing", 2)
  end
  local value, options = ...
  check.options(options, SEND_OPTIONS, "group:send")
  check.optional(options and options.type, "string", "option 'type'")
  local replyTo = options and options.replyTo
  if replyTo ~= nil and not core.isRef(replyTo) then
    error(("option 'replyTo' must be a ref or nil, got %s")
      :format(check.describe(replyTo)), 2)
  end
  local members = self:list()
  if #members == 0 then
    return nil, ("no isolate beneath %s"):format(self.prefix), "not found"
  end
  if self.select == "all" then return sendToAll(members, value, options) end
  if self.select == "roundRobin" then
    return sendInTurn(self, members, value, options)
  end
  local chosen = self.select(members, value)
  if chosen == nil then
    local text = ("the group %s selected nobody"):format(self.prefix)
    return nil, text, "not found"
  elseif not core.isRef(chosen) then
    error(("the group's select function must return a ref or nil, got %s")
      :format(check.describe(chosen)), 2)
  end
  return chosen:send(value, options)
end

return Group
