"""The page of `/docs`: one answer that needs nothing else but `openapi.json` beside it, under a strict policy."""

from __future__ import annotations

import base64
import hashlib

from bentod.shipped import shipped


def page() -> bytes:
    """The page, with its style and its script inside."""
    folder = shipped("recipes/docs")
    page = (folder / "docs.html").read_text("utf-8")
    for part, name in (("{{style}}", "docs.css"), ("{{script}}", "docs.js")):
        page = page.replace(part, (folder / name).read_text("utf-8"))
    return page.encode()


def headers(page: bytes) -> dict[str, str]:
    """What is sent with `page`: it may run its own script, use its own style and call its own origin, nothing else."""
    policy = (
        "default-src 'none'",
        f"script-src {_digest(page, b'script')}",
        f"style-src {_digest(page, b'style')}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }


def _digest(page: bytes, tag: bytes) -> str:
    """The policy's name of the page's one element `tag`."""
    content = page.partition(b"<" + tag + b">")[2].partition(b"</" + tag + b">")[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"
