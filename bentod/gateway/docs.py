"""The page of `/docs`: one answer that needs nothing else but `openapi.json` beside it, under a strict policy."""

from __future__ import annotations

import base64
import hashlib

from bentod.shipped import shipped

_SCRIPTS = (
    "elements", "json", "document", "schemas", "media", "editors", "forms", "answers", "streams", "calls", "page"
)  # fmt: skip
"""The parts of the script, in the order in which they build on each other. Together they are one function."""


def page() -> bytes:
    """The page, with its style and its script inside."""
    folder = shipped("recipes/docs")
    script = "\n".join((folder / f"{name}.js").read_text("utf-8") for name in _SCRIPTS)
    page = (folder / "docs.html").read_text("utf-8")
    page = page.replace("{{style}}", (folder / "docs.css").read_text("utf-8"))
    return page.replace("{{script}}", script).encode()


def headers(page: bytes) -> dict[str, str]:
    """What is sent with `page`: it may run its own script, use its own style, call its own origin, and show what it has
    in memory: files that were chosen, and answers. Nothing else."""
    policy = (
        "default-src 'none'",
        f"script-src {_digest(page, b'script')}",
        f"style-src {_digest(page, b'style')}",
        "connect-src 'self'",
        "img-src data: blob:",
        "media-src blob:",
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
