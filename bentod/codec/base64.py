"""Strict base64 (RFC 4648, section 4) of text: no blanks, no missing padding."""

from __future__ import annotations

import binascii


def decode(text: str) -> bytes:
    """Raises ValueError with what is wrong."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(_reason(text, error)) from None
    if len(text) % 4 or text.endswith("==="):  # binascii takes `AAAA=`
        raise ValueError("is no base64: too much padding at the end")
    return data


def _reason(text: str, error: Exception) -> str:
    if not text.isascii() or any(character.isspace() for character in text):
        return "is no base64: only A-Z, a-z, 0-9, + and / are allowed, and = at the end"
    reason = str(error)
    return f"is no base64: {reason[:1].lower()}{reason[1:]}"


def encode(data: bytes | bytearray | memoryview) -> str:
    """The base64 of some memory."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")
