"""The JSON Schema dialect of inputs and outputs, compiled once."""
