"""Inside the child process: imports the target and serves calls. No HTTP, no spec, no plan."""
