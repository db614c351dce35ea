"""What will run: pure functions from a Spec to a Plan."""
