"""What a service needs of the host: the section `resources`, and how many workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from bentod.spec.fields import REFERENCE, Given, Grammar, Size, Whole, read_number, wrong
from bentod.spec.found import shown
from bentod.spec.section import Section

AUTO = "auto"
_MOST_CPUS = 4096
_MOST_GPUS = 64


@dataclass(frozen=True, slots=True)
class WholeOrAuto:
    """A whole number within bounds, or `auto`."""

    number: Whole

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """`auto`, or the number."""
        number = handler.generate_schema(Annotated[int, self.number])
        as_it_is = core_schema.plain_serializer_function_ser_schema(lambda value: value)
        return core_schema.no_info_wrap_validator_function(self._read, number, serialization=as_it_is)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        """The bounds, or the word."""
        number = {"type": "integer", "minimum": self.number.least, "maximum": self.number.most}
        return {"anyOf": [number, {"const": AUTO}, REFERENCE]}

    @staticmethod
    def _read(value: Any, number: core_schema.ValidatorFunctionWrapHandler) -> Any:
        if value == AUTO:
            return AUTO
        if type(value) is str:
            raise wrong("wrong-type", f"expected a whole number or `{AUTO}`, found {shown(value)}")
        return number(value)


def _gpus(value: float) -> float:
    if not (0 <= value < 1 or (0 < value <= _MOST_GPUS and value.is_integer())):
        raise wrong(
            "wrong-value",
            f"{value:g} is neither a whole number up to {_MOST_GPUS} nor a part of one GPU",
            "such as 1, 2 or 0.5",
        )
    return value


def _cpus(value: float) -> float:
    if not 0 < value <= _MOST_CPUS:
        raise wrong("wrong-value", f"{value:g} is not above 0 and up to {_MOST_CPUS}", "such as 1, 4 or 0.5")
    return value


def _text(value: float) -> float | int:
    return int(value) if value.is_integer() else value


_GPUS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": _MOST_GPUS},
        {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        REFERENCE,
    ]
}
_CPUS_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": _MOST_CPUS}, REFERENCE],
}
Workers = Annotated[int | str, WholeOrAuto(Whole(1, 1024))]
Gpus = Annotated[
    float, BeforeValidator(read_number), AfterValidator(_gpus), WithJsonSchema(_GPUS_SCHEMA), PlainSerializer(_text)
]
Cpus = Annotated[
    float, BeforeValidator(read_number), AfterValidator(_cpus), WithJsonSchema(_CPUS_SCHEMA), PlainSerializer(_text)
]


GpuType = Annotated[str, Grammar(r"\S", "a pattern", "of the names of GPUs, such as `*H100*`")]


class Resources(Section):
    """What each worker is promised of the host."""

    cpus: Annotated[Cpus | None, Given] = Field(
        default=None, description="CPUs that it may use at once; its thread pools are made that large."
    )
    memory: Annotated[Size | None, Given] = Field(
        default=None, description="The most memory that it may have; one that has more is replaced."
    )
    gpus: Annotated[Gpus | None, Given] = Field(
        default=None, description="Whole GPUs of its own, or a part of one, such as 0.5. `0`: it sees none."
    )
    gpu_memory: Annotated[Size | None, Given] = Field(
        default=None, description="What it needs on each of its GPUs. Without `gpus`: a share of a GPU by memory alone."
    )
    gpu_type: Annotated[GpuType | None, Given] = Field(
        default=None, description="Only GPUs whose name fits this pattern, such as `*H100*`."
    )
