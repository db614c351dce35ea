"""What was asked: files → a complete, checked Spec."""
