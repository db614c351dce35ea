"""One file per verb; the only prints, prompts and exit codes."""
