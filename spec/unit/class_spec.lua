-- class_spec.lua - that a script gets at neither of a class's tables.

local class = require "isolate_cluster.class"

describe("A class", function()
  local methods, meta = class "thing"

  function methods:double() return self.value * 2 end

  local thing = setmetatable({ value = 4 }, meta)

  it("gives its objects their methods", function()
    assert.equal(8, thing:double())
  end)

  it("hides its metatable behind its name", function()
    assert.equal("thing", getmetatable(thing))
    assert.is_false(pcall(setmetatable, thing, {}))
    assert.matches("^thing: ", tostring(thing))
  end)

  it("has no way from an object to the methods' table", function()
    for _, key in ipairs { "__index", "__name", "__metatable" } do
      assert.is_nil(thing[key])
    end
  end)
end)
