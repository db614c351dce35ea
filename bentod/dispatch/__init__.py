"""Which call goes to which worker, and when."""
