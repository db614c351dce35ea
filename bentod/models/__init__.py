"""Weights: the store, the hub, and where the models of a spec lie on this host."""
