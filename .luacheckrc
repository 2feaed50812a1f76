std = "lua54"
max_line_length = 80
self = false
exclude_files = { "lua/isolate_cluster/types.lua" } -- for editors, never run
files["spec"] = { std = "+busted" }
