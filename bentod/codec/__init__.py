"""Bytes ⇄ values, by media type."""
