"""A spec in the words of other systems. Pure: values in, texts out."""
