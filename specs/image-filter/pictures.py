"""Pictures in, pictures out: plain functions on Pillow's images, with nothing to import from bentod."""

from collections.abc import Callable

from PIL import Image, ImageFilter, ImageOps

SIZE = (256, 256)

FILTERS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "blur": lambda image, strength: image.filter(ImageFilter.GaussianBlur(strength)),
    "sharpen": lambda image, strength: image.filter(ImageFilter.UnsharpMask(radius=2, percent=round(50 * strength))),
    "edges": lambda image, strength: ImageOps.autocontrast(
        image.convert("L").filter(ImageFilter.GaussianBlur(strength)).filter(ImageFilter.FIND_EDGES)
    ),
    "grayscale": lambda image, _: image.convert("L"),
    "invert": lambda image, _: ImageOps.invert(image),
}


def apply(image: Image.Image, kind: str, strength: float = 2.0) -> Image.Image:
    """The picture after one of the filters. `strength` is the radius in pixels for those that have one."""
    return FILTERS[kind](opaque(image), strength)


def thumbnail(image: Image.Image) -> Image.Image:
    """The picture scaled down into a square of 256 pixels; what is smaller stays as it is."""
    small = opaque(image)
    small.thumbnail(SIZE)
    return small


def opaque(image: Image.Image) -> Image.Image:
    """A new picture: upright as its EXIF data says, in RGB, on white where the original is transparent."""
    upright = ImageOps.exif_transpose(image).convert("RGBA")
    paper = Image.new("RGBA", upright.size, "white")
    paper.alpha_composite(upright)
    return paper.convert("RGB")
