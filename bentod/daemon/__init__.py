"""The long-running whole: makes the plan true and keeps it true. It never imports user code."""
