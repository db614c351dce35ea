"""Measures what this host has: CPUs, memory, GPUs. NVML is loaded in a child process only: it may hang, or crash."""
