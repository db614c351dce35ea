"""Special values as a client would have them: encoded pictures, .npy files."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from bentod.iotypes.image import FORMATS


def picture(media_type: str, size=(5, 4), mode="RGB", frames=1, **options) -> bytes:
    out = io.BytesIO()
    made = [Image.new(mode, size, (80 * number,) * 3 if mode == "RGB" else number) for number in range(frames)]
    if frames > 1:
        options.update(save_all=True, append_images=made[1:])
    made[0].save(out, FORMATS[media_type], **options)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()
