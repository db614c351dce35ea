"""Reads decoded inputs: special values become parts, everything else is validated, and all that is wrong is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from bentod.codec import inbound
from bentod.codec.inbound import Folder
from bentod.codec.places import MOST_PLACES, Place, emptied, judge, told
from bentod.errors import MISMATCH, BodyTooLarge, InvalidInput, Pointed
from bentod.iotypes.image import TooManyPixels
from bentod.iotypes.layout import layout
from bentod.iotypes.parts import Part, Tensor
from bentod.iotypes.pointers import escaped
from bentod.iotypes.special import TensorType
from bentod.iotypes.tensor import Dimensions, Misfit
from bentod.iotypes.validator import MOST_ERRORS


class Input(NamedTuple):
    """An input with parts in the special places, and the named dimensions that it binds."""

    value: Any
    dimensions: dict[str, int]


class Reader:
    """Reads the inputs of one API. To its `validator`, anything goes in the special places."""

    def __init__(self, schema: Any, types: Mapping[str, Any]) -> None:
        """Raises ValueError if the schema is invalid or refers to what does not exist."""
        self.layout = layout(schema, types)
        self.validator = judge(schema, types, self.layout)

    def read(self, value: Any, folder: Folder, *, booleans: bool = True) -> Input:
        """Raises InvalidInput with all that is wrong, BodyTooLarge for too many pixels, files or special values, and
        StorageFailed.

        `booleans=False` promises that the body had no true and no false in it.
        """
        if self.layout is None:
            self._check(value, [])
            return Input(value, {})
        root, places = emptied(value, self.layout, MOST_PLACES)
        dimensions = Dimensions()
        errors: list[Pointed] = []
        found = [
            _part(place, folder, dimensions, errors, booleans) if len(errors) < MOST_ERRORS else None
            for place in places
        ]
        for index, place in enumerate(places):
            part = found[index]
            if isinstance(part, Tensor) and -1 in part.shape:
                found[index] = _settled(place, part, dimensions, errors)
        self._check(root[0], errors)
        for place, part in zip(places, found, strict=True):
            place.fill(part)
        return Input(root[0], dimensions.bound)

    def _check(self, value: Any, errors: list[Pointed]) -> None:
        """Check what is plain JSON. Raises InvalidInput, also for the errors there are already."""
        wrong = list(foreign(value))
        if errors or wrong or not self.validator.valid(value):
            judged = () if wrong else map(told, self.validator.errors(value))
            raise InvalidInput(MISMATCH, errors=(*errors, *wrong, *judged)[:MOST_ERRORS])


def _part(place: Place, folder: Folder, dimensions: Dimensions, errors: list[Pointed], booleans: bool) -> Part | None:
    try:
        return inbound.part(place, folder, dimensions, booleans=booleans)
    except TooManyPixels as error:
        raise BodyTooLarge(f"{place.pointer}: the image {error}".removeprefix(": ")) from None
    except ValueError as error:
        errors.append(Pointed(place.at(error), str(error)))
    return None


def _settled(place: Place, tensor: Tensor, dimensions: Dimensions, errors: list[Pointed]) -> Tensor:
    """An empty tensor whose lists did not say all lengths, with all of them."""
    assert isinstance(place.kind, TensorType)
    shape = dimensions.settled(tensor.shape, place.kind)
    try:
        dimensions.fit(shape, place.kind, place.pointer)
    except Misfit as error:
        errors.append(Pointed(place.pointer, str(error)))
    return Tensor(tensor.dtype, shape, tensor.data)


def foreign(value: Any) -> Iterator[Pointed]:
    """What stands in a decoded value although JSON has nothing like it: bytes, tensors, files, other names."""
    try:
        orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError as error:
        found = list(_foreign_below(value))
        yield from found or [Pointed("", str(error)[:200])]


def _foreign_below(value: Any) -> Iterator[Pointed]:
    ahead: list[tuple[str, Any]] = [("", value)]
    for pointer, item in ahead:
        if isinstance(item, dict):
            ahead.extend((f"{pointer}/{escaped(name)}", inner) for name, inner in item.items())
        elif isinstance(item, list):
            ahead.extend((f"{pointer}/{index}", inner) for index, inner in enumerate(item))
        elif not isinstance(item, str | int | float | None):
            yield Pointed(pointer, "bytes, files and tensors are not wanted here")
