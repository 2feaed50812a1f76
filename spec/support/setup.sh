# setup.sh - what spec/run, examples/run and spec/bench/run share: installing
# what is missing, and building one kind of build.
#
# Sourced, not run, by a script that has set `root`, the clone's top folder; goes
# there. Says one line before something is installed or built, and keeps what
# apt and cmake print in build/*.log unless they fail.

unset CDPATH
case ${IC_LUA_SOURCE:-/} in
  /*) ;;
  *) IC_LUA_SOURCE=$PWD/$IC_LUA_SOURCE ;;
esac
cd "$root" || exit 1

die() {
  echo "$1" >&2
  exit "${2:-1}"
}

# quietly LOG COMMAND... - runs it, and shows what it printed if it fails, but
# for the lines of progress.
quietly() {
  log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if "$@" >"$log" 2>&1; then return 0; fi
  grep -v -e '^-- ' -e '^\[[ 0-9/%]*\] [A-Z]' "$log" >&2
  return 1
}

# --- Packages ---------------------------------------------------------------

packages=

# need TEST PACKAGE... - remembers the packages if the command TEST fails.
need() {
  if eval "$1" >/dev/null 2>&1; then return 0; fi
  shift
  packages="$packages $*"
}

need_build_tools() {
  need 'command -v cc' gcc libc6-dev
  need 'command -v cmake' cmake
  need 'command -v make || command -v ninja' make
  need 'command -v pkg-config' pkg-config
  [ -n "${IC_LUA_SOURCE:-}" ] ||
    need 'pkg-config --exists lua5.4 || pkg-config --exists lua-5.4' \
         liblua5.4-dev
}

need_test_tools() {
  need 'command -v lua5.4' lua5.4
  need 'command -v busted' lua-busted
  need 'command -v luacheck' lua-check
}

# install_needed REASON - installs what need() found to be missing, if anything.
install_needed() {
  [ -n "$packages" ] || return 0
  command -v apt-get >/dev/null ||
    die "missing for $1, install by hand (Debian's names):$packages"
  as_root=
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null ||
      die "missing for $1, install as root: apt-get install$packages"
    as_root=sudo
  fi
  echo "installing for $1:$packages"
  # An unreachable source that nothing here comes from must not stop us.
  $as_root apt-get -q update >/dev/null 2>&1 || true
  # shellcheck disable=SC2086
  quietly build/apt.log $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends \
    install $packages || die "could not install:$packages"
  packages=
}

# --- Lua's source -----------------------------------------------------------

# find_lua_source - sets IC_LUA_SOURCE to a Lua 5.4 source tree: the caller's,
# or the one of Debian's package, fetched once into build/lua-source. Fails
# where there is none. The machine's own apt lists and sources stay as they are.
find_lua_source() {
  [ -z "${IC_LUA_SOURCE:-}" ] || return 0
  cache=build/lua-source
  if ! ls "$cache"/lua5.4-*/src/lapi.c >/dev/null 2>&1; then
    command -v apt-get >/dev/null || return 1
    need 'command -v dpkg-source' dpkg-dev
    install_needed "Lua's source package"
    echo "fetching Lua's source package for the thread sanitizer"
    rm -rf "$cache" "$cache.new"
    quietly "$cache.log" fetch_lua_source "$root/$cache.new" || return 1
    mv "$cache.new" "$cache"
  fi
  for tree in "$cache"/lua5.4-*/; do IC_LUA_SOURCE=${tree%/}; done
  [ -f "$IC_LUA_SOURCE/src/lapi.c" ]
}

# fetch_lua_source DIR - unpacks the source package in DIR.
fetch_lua_source() {
  mkdir -p "$1/apt/sources" "$1/apt/lists/partial" \
    "$1/apt/cache/archives/partial"
  # The machine's own sources, each asked for sources instead of packages.
  for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
              /etc/apt/sources.list.d/*.sources; do
    [ -f "$list" ] || continue
    sed -e 's/^deb[[:space:]]/deb-src /' -e 's/^\(Types:\).*/\1 deb-src/' \
      "$list" >"$1/apt/sources/${list##*/}"
  done
  (
    cd "$1" || exit 1
    set -- -q -o Dir::Etc::SourceList=/dev/null \
      -o Dir::Etc::SourceParts="$1/apt/sources" \
      -o Dir::State::Lists="$1/apt/lists" -o Dir::Cache="$1/apt/cache" \
      -o APT::Sandbox::User="$(id -un)"
    apt-get "$@" update || true  # other people's sources may have none
    apt-get "$@" source lua5.4 && rm -rf apt
  )
}

# --- Building ---------------------------------------------------------------

# configure_and_build DIR OPTIONS TARGETS - one build folder, by one process at a
# time. Configures only if that was not done with the same options, which are
# words without spaces.
configure_and_build() {
  here="$root $2 ${IC_LUA_SOURCE:-}"
  if [ "$(cat "$1/configured" 2>/dev/null)" != "$here" ]; then
    rm -rf "$1"
    generator=
    if command -v ninja >/dev/null; then generator='-G Ninja'; fi
    # shellcheck disable=SC2086
    cmake -S . -B "$1" $generator $2 \
      ${IC_LUA_SOURCE:+"-DIC_LUA_SOURCE=$IC_LUA_SOURCE"} || return 1
    echo "$here" >"$1/configured"
  fi
  # shellcheck disable=SC2086
  cmake --build "$1" --parallel "$(getconf _NPROCESSORS_ONLN)" \
        ${3:+--target $3}
}

# build KIND OPTIONS [TARGETS] - builds into build/KIND.
build() {
  mkdir -p build
  [ -f "build/$1/configured" ] || echo "building build/$1"
  (
    if command -v flock >/dev/null; then flock 9; fi
    quietly "build/$1.log" configure_and_build "build/$1" "$2" "${3:-}" 9>&-
  ) 9>"build/$1.lock" || die "the build failed: build/$1"
}
