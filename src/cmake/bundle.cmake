# bundle.cmake - turns Lua files into C, so that the products carry them.
#
# Included, it declares ic_add_bundle(OUTPUT ROOT FILES...): OUTPUT is made from
# FILES, and made again when one of them changes. Run as a script (cmake -P), it
# is the tool that makes it. The result defines what src/binding/bundle.h
# declares; ROOT/a/b.lua is named "a.b", ROOT/a/init.lua "a".

if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(ic_bundle_script ${CMAKE_CURRENT_LIST_FILE})

  function(ic_add_bundle output root)
    list(TRANSFORM ARGN PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE files)
    # A list would come apart on its way through the command line.
    list(JOIN files "|" joined)
    add_custom_command(
      OUTPUT ${output}
      COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DROOT=${root}
              "-DFILES=${joined}" -P ${ic_bundle_script}
      DEPENDS ${files} ${ic_bundle_script}
      COMMENT "Embedding the Lua sources" VERBATIM)
  endfunction()

  return()
endif()

string(REPLACE "|" ";" FILES "${FILES}")
set(arrays "")
set(entries "")
set(count 0)
string(REPEAT "[0-9a-f]" 24 line)

foreach(file IN LISTS FILES)
  file(RELATIVE_PATH name ${ROOT} ${file})
  string(REGEX REPLACE "(/init)?\\.lua$" "" name ${name})
  string(REPLACE "/" "." name ${name})

  file(READ ${file} hex HEX)
  string(LENGTH "${hex}" size)
  math(EXPR size "${size} / 2")
  string(REGEX REPLACE "(${line})" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")

  # The 0 is not counted: it keeps an empty file's array from being empty.
  string(APPEND arrays
         "static const unsigned char file_${count}[] = {\n${hex}0};\n\n")
  string(APPEND entries "  {\"${name}\", file_${count}, ${size}},\n")
  math(EXPR count "${count} + 1")
endforeach()

file(WRITE ${OUTPUT} "// Made by src/cmake/bundle.cmake: the Lua sources.

#include \"binding/bundle.h\"

${arrays}const ic_bundle_file ic_bundle_files[] = {
${entries}};

const size_t ic_bundle_count = ${count};
")
