"""bentod: serve machine-learning models from one declarative file."""

__version__ = "0.1.0"
