-- install_spec.lua - what `cmake --install` puts down serves Lua programs and
-- C programs, by pkg-config and by CMake.

local shell = require "spec.support.shell"

local quote = shell.quote
local BUILD = os.getenv("ISOLATE_CLUSTER_BUILD")
local SANITIZED = (os.getenv("ISOLATE_CLUSTER_SANITIZE") or "") ~= ""

-- Other programs can load what has a sanitizer in it only with preloads.
local itUnlessSanitized = SANITIZED and pending or it

local HELLO = [[
local IsolateCluster = require "isolate_cluster"
local cluster = IsolateCluster.singleNode()
local echo = assert(cluster:spawnIsolate("/echo", function(context)
  context:onMessage(function(value, message) message:reply(value .. "!") end)
end))
print(assert(echo:request("hello", { timeout = 60 })))
cluster:shutdown()
]]

local PROJECT = [[
cmake_minimum_required(VERSION 3.25)
project(user C)
find_package(isolate_cluster 0.1 REQUIRED)
add_executable(with_shared embed.c)
target_link_libraries(with_shared isolate_cluster::isolate_cluster)
add_executable(with_static embed.c)
target_link_libraries(with_static isolate_cluster::isolate_cluster_static)
]]

describe("an installation", function()
  local home, prefix

  setup(function()
    home = shell.check("mktemp -d"):gsub("\n", "")
    prefix = home .. "/prefix"
    shell.check("cmake --install " .. quote(BUILD) .. " --prefix " .. prefix)
    shell.check("cp examples/embed.c " .. home)
  end)

  teardown(function()
    shell.check("rm -rf " .. home)
  end)

  -- The command line in the installation's folder, with what users would set.
  local function inHome(command)
    return ("cd %s && prefix=%s && lib=$(dirname $(find $prefix -name "
      .. "'libisolate_cluster.so')) && %s"):format(home, prefix, command)
  end

  it("has no more than it should", function()
    local files = shell.lines(shell.check(inHome(
      "cd $prefix && find . ! -type d | sed 's#^./##; s#^'"
      .. "\"${lib#$prefix/}\"'/#LIB/#' | LC_ALL=C sort")))

    local config = "LIB/cmake/isolate_cluster/isolate_cluster-"
    local expected = {
      config .. "config-version.cmake",
      config .. "config.cmake",
      config .. "targets-release.cmake",
      config .. "targets.cmake",
      "LIB/libisolate_cluster.a",
      "LIB/libisolate_cluster.so",
      "LIB/libisolate_cluster.so.0",
      "LIB/pkgconfig/isolate_cluster.pc",
      "bin/isolate-cluster",
      "include/isolate_cluster.h",
      "share/isolate_cluster/types/isolate_cluster.lua",
    }
    local found = {}
    for _, file in ipairs(files) do
      local version = file:match("^LIB/libisolate_cluster%.so%.%d+%.%d+%.%d+$")
      local module = file:match("lua/5%.4/isolate_cluster%.so$")
      if not version and not module then found[#found + 1] = file end
    end
    assert.same(expected, found)
    assert.equal(#expected + 2, #files)
  end)

  it("has a command that tells its version", function()
    local version = shell.check(inHome("$prefix/bin/isolate-cluster --version"))

    assert.matches("%d+%.%d+%.%d+", version)
  end)

  it("names no folder of the machine that built it", function()
    local found = shell.run(inHome(
      "grep -rIl -e \"$prefix\" -e " .. quote(BUILD) .. " $prefix"))

    assert.equal("", found)
  end)

  itUnlessSanitized("serves plain lua5.4", function()
    shell.write(home .. "/hello.lua", HELLO)

    local output = shell.check(inHome(
      "LUA_CPATH=\"$prefix/lib/lua/5.4/?.so\" timeout 120 lua5.4 hello.lua"))

    assert.equal("hello!\n", output)
  end)

  itUnlessSanitized("serves a C program by pkg-config", function()
    shell.check(inHome("export PKG_CONFIG_PATH=$lib/pkgconfig && cc embed.c -o "
      .. "by_pkg_config $(pkg-config --cflags --libs isolate_cluster)"))

    shell.check(inHome("LD_LIBRARY_PATH=$lib timeout 120 ./by_pkg_config"))
  end)

  itUnlessSanitized("serves a C program by CMake", function()
    shell.check(inHome("mkdir project && cp embed.c project"))
    shell.write(home .. "/project/CMakeLists.txt", PROJECT)

    shell.check(inHome("cmake -S project -B project/build "
      .. "-DCMAKE_PREFIX_PATH=$prefix && cmake --build project/build"))

    shell.check(inHome("timeout 120 project/build/with_shared"))
    shell.check(inHome("timeout 120 project/build/with_static"))
  end)
end)
