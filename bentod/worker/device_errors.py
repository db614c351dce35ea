"""Which exceptions mean that a process has lost its GPU: every CUDA call that it makes from now on fails, too.

They are known by name and text: whatever raised them was imported by the user's code, if at all.

What CUDA says of its errors is in `driver_types.h` (CUDA Runtime API, "Data types used by CUDA Runtime"): after those
named here "the process must be terminated and relaunched". Memory that runs out is none of them, nor is an argument
that a call does not take: there the process is as good as before.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from bentod.worker import failures

_LIBRARIES = frozenset(
    [
        "torch",
        "cupy",
        "cupy_backends",
        "cuda",
        "numba",
        "pycuda",
        "jax",
        "jaxlib",
        "tensorflow",
        "onnxruntime",
        "tensorrt",
        "triton",
        "pynvml",
    ]
)
"""Exceptions of these packages are looked at, and RuntimeErrors of anybody."""

_SAYS = r"(?:CUDA error: |CUDA failure \d+: |CUDA failed with error |Triton Error \[CUDA\]: |\bcu\w+ failed: )"
_WORDS = (
    "an illegal memory access was encountered|device-side assert triggered|unspecified launch failure"
    "|misaligned address|an illegal instruction was encountered|hardware stack error|invalid program counter"
    "|operation not supported on global/shared address space|uncorrectable ECC error encountered"
    "|uncorrectable NVLink error detected during the execution|the launch timed out and was terminated|unknown error"
)
_NAMES = (
    r"\bcudaError(?:IllegalAddress|Assert|LaunchFailure|MisalignedAddress|IllegalInstruction|HardwareStackError"
    r"|InvalidPc|InvalidAddressSpace|ECCUncorrectable|NvlinkUncorrectable|LaunchTimeout|MpsClientTerminated"
    r"|ExternalDevice|Unknown)\b"
    r"|\bCUDA_ERROR_(?:ILLEGAL_ADDRESS|ASSERT|LAUNCH_FAILED|MISALIGNED_ADDRESS|ILLEGAL_INSTRUCTION"
    r"|HARDWARE_STACK_ERROR|INVALID_PC|INVALID_ADDRESS_SPACE|ECC_UNCORRECTABLE|NVLINK_UNCORRECTABLE|LAUNCH_TIMEOUT"
    r"|MPS_CLIENT_TERMINATED|EXTERNAL_DEVICE|UNKNOWN)\b"
    r"|\bCU(?:DNN|BLAS)_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR)\b"
)
_GONE = (
    r"no CUDA-capable device is detected|CUDA driver initialization failed|CUDA unknown error|GPU is lost"
    r"|GPU has fallen off the bus|\bcudaErrorNoDevice\b|\bCUDA_ERROR_NO_DEVICE\b"
)
_HINT = re.compile("CU|cu|GPU")
_MOST_TEXT = 4000


def device_error(error: BaseException, *, given: bool) -> str:
    """What the GPU did to this process, in CUDA's words, such as `device-side assert triggered`; empty if nothing that
    lasts. `given`: the process was given a GPU: to another one it is no news that there is none."""
    for one in failures.family(error, hidden=True):  # whatever was made of it, the process is lost
        if not _may_be(one):
            continue
        text = failures.text(one, _MOST_TEXT)
        if not _HINT.search(text):
            continue
        poison, gone = _patterns()
        if (found := poison.search(text)) is not None:
            return found["words"] or found["name"]
        if given and (found := gone.search(text)) is not None:
            return found[0]
    return ""


class Spotter:
    """Knows whether this process was `given` a GPU; `doomed` is told what that did to it, and ends it."""

    def __init__(self, *, given: bool, doomed: Callable[[str], None]) -> None:
        self._given = given
        self._doomed = doomed

    def lost(self, error: BaseException) -> str:
        """What the GPU did, if that is what an exception means."""
        return device_error(error, given=self._given)

    def seen(self, error: BaseException) -> None:
        """If an exception means that the process has lost its GPU, it ends without an answer: its calls are those of a
        worker that died, and run once more elsewhere."""
        if found := self.lost(error):
            self._doomed(found)


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What is looked for; made when it is needed first: it would cost each start of a worker some milliseconds."""
    return re.compile(rf"{_SAYS}(?P<words>{_WORDS})|(?P<name>{_NAMES})"), re.compile(_GONE)


def _may_be(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) or any(
        cls.__module__.partition(".")[0] in _LIBRARIES for cls in type(error).__mro__
    )
