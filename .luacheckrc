std = "lua54"
max_line_length = 80
exclude_files = { "lua/isolate_cluster/types.lua" } -- for editors, never run
files["spec"] = { std = "+busted" }
files["**/*.lua"] = { ignore = { "212/_.*", "212/self" } }
