"""Media types and ranges of them, as schemas write them."""

from __future__ import annotations

import re

_NAME = r"[A-Za-z0-9!#$&^_.+-]+"
RANGE = rf"^({_NAME}/({_NAME}|\*)|\*/\*)$"
"""A media type, `type/*` or `*/*`; without parameters."""

WITH_PARAMETERS = rf'^{_NAME}/{_NAME}([ \t]*;[ \t]*{_NAME}=({_NAME}|"[ -!#-\[\]-~]*"))*$'
"""What can stand in a header `Content-Type`."""


def wrong(media_type: str) -> tuple[str, str]:
    """What is wrong with the range `media_type`, and a hint; empty if it is one."""
    if re.search(RANGE, media_type):
        return "", ""
    essence = media_type.partition(";")[0].strip()
    if essence != media_type and re.search(RANGE, essence):
        return "it has parameters, which nobody would compare", f"write `{essence}`"
    return "it is not a media type", "such as `image/png`, `audio/*` or `application/pdf`"
