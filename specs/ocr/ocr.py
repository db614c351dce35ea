"""Which text is on a picture, and where? PP-OCRv6 by way of RapidOCR, on the CPU."""

from typing import Any

import numpy as np
from PIL import Image, ImageOps
from rapidocr import RapidOCR

LONGEST = 1280  # pixels of a side that the search for lines looks at; larger pictures are scaled down for it
NARROWEST = 64  # pixels, and a sixteenth of the other side: the library would enlarge what is narrower, without bounds


class Reader:
    """Constructed once per worker: three networks find the lines, turn them upright and read them."""

    def __init__(self, threads: int = 1) -> None:
        self.engine = RapidOCR(
            params={
                "Global.log_level": "error",
                "Global.text_score": 0.0,  # every call says itself which lines are too doubtful
                "Det.limit_type": "max",
                "Det.limit_side_len": LONGEST,
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            }
        )

    def read(self, image: Image.Image, min_score: float = 0.5) -> list[dict[str, Any]]:
        """The lines of text from top to bottom, with the four corners of each, clockwise from its top left."""
        found = self.engine(pixels(image))
        lines = zip(found.txts, found.scores, found.boxes, strict=True) if found.txts else ()
        return [
            {"text": text, "score": min(float(score), 1.0), "box": np.asarray(box, dtype=np.float32)}
            for text, score, box in lines
            if score >= min_score
        ]


def pixels(image: Image.Image) -> np.ndarray:
    """The picture as the networks want it: upright, on white where it is transparent, blue before green before red."""
    upright = ImageOps.exif_transpose(image).convert("RGBA")
    narrowest = max(NARROWEST, max(upright.size) // 16)
    width, height = (max(side, narrowest) for side in upright.size)
    paper = Image.new("RGBA", (width, height), "white")
    paper.alpha_composite(upright)
    return np.ascontiguousarray(np.asarray(paper.convert("RGB"))[:, :, ::-1])
