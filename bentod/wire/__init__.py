"""What travels between the processes: frames, messages, channels."""
