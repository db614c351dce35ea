"""Memory that runs out in user code, a GPU's or the host's: told by names and texts, and what can be given back of it.

Nothing is imported for it: whatever raised was imported by the user's code, if at all. A process that ran out of memory
is as good as before, other than one that has lost its GPU: see `device_errors.py`.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from bentod.worker.failures import family, text

_NAMES = frozenset(
    {("torch", "OutOfMemoryError"), ("cupy", "OutOfMemoryError"), ("tensorflow", "ResourceExhaustedError")}
)
"""Classes that say it by themselves: the package they are in, and their name."""

_XLA = frozenset({"XlaRuntimeError", "JaxRuntimeError"})
_XLA_TEXT = "RESOURCE_EXHAUSTED"

_LIBRARIES = frozenset(
    [
        "onnxruntime",
        "cupy",
        "cupy_backends",
        "numba",
        "pycuda",
        "torch",
        "tensorrt",
        "tensorflow",
        "xgboost",
        "lightgbm",
    ]
)
"""The texts of exceptions of these packages count, and those of RuntimeErrors of anybody."""

_TEXTS = re.compile(
    r"\b(?:CUDA|HIP|XPU)(?: error:)? out of memory"
    r"|\b(?:CUDA|HIP) failure \d+: out of memory"
    r"|\b(?:CUDA|cuda|HIP) failed with error (?:\d+ )?out of memory|\[CUDA\]:? out of memory"
    r"|\bCUDA runtime error(?: in \w+)?: out of memory|\bcu\w+ failed: out of memory|\bCuda Runtime \(out of memory\)"
    r"|MPS backend out of memory"
    r"|\b(?:CU|HIP|ROC)[A-Z]+_STATUS_ALLOC_FAILED\b"
    r"|\bcudaErrorMemoryAllocation\b|\bhipErrorOutOfMemory\b|\bCUDA_ERROR_OUT_OF_MEMORY\b"
    r"|Failed to allocate memory for requested buffer|Available memory of \d+ is smaller than requested bytes"
    r"|Dst tensor is not initialized|\bstd::bad_alloc\b"
    r"|DefaultCPUAllocator: (?:can't allocate memory|not enough memory)"
)


class Memory:
    """Whether memory has run out since some was last given back."""

    def __init__(self) -> None:
        self._short = False

    def ran_out(self, error: BaseException) -> bool:
        """Whether an exception says so. `relieve` is to be called once it is forgotten."""
        found = out_of_memory(error)
        self._short = self._short or found
        return found

    def relieve(self) -> None:
        """Give back what can be, if memory has run out; no longer while an exception holds what the callable had."""
        if self._short:
            self._short = False
            free()


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, or one that it came from does."""
    return any(map(_says_so, family(error, hidden=False)))


def free(modules: Mapping[str, Any] = sys.modules) -> None:
    """Give back what can be: what only cycles of objects hold, and what libraries keep for the next time."""
    gc.collect()
    for name, give_back in _CACHES.items():
        module = modules.get(name)
        if module is not None:
            with suppress(Exception):
                give_back(module)


def _says_so(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    names = [(str(cls.__module__).partition(".")[0], cls.__name__) for cls in type(error).__mro__]
    if not _NAMES.isdisjoint(names):
        return True
    if any(package in {"jaxlib", "jax"} and name in _XLA for package, name in names):
        return _XLA_TEXT in text(error)
    if isinstance(error, RuntimeError) or any(package in _LIBRARIES for package, _ in names):
        return _TEXTS.search(text(error)) is not None
    return False


_CACHES: dict[str, Callable[[Any], object]] = {
    "torch": lambda torch: torch.cuda.empty_cache(),
    "cupy": lambda cupy: cupy.get_default_memory_pool().free_all_blocks(),
}
