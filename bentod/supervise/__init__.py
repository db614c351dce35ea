"""Alive or not: states, restarts, processes, pools."""
