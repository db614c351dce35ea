"""HTTP in, HTTP out. It never imports user code and never decides what should run."""
