"""Which exceptions say that memory ran out, whoever raised them, and what is given back then."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace

import pytest

from bentod.worker.exhaustion import Memory, free, out_of_memory


def kind(module, name, base=Exception, **more):
    """A class as a library has it."""
    return type(name, (base,), {"__module__": module, **more})


def of(module, name, text="", base=Exception):
    return kind(module, name, base)(text)


def chained(error, *, cause=None, context=None, hidden=False):
    error.__cause__, error.__context__ = cause, context
    error.__suppress_context__ = cause is not None or hidden
    return error


TORCH = of("torch", "OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 MiB.", RuntimeError)
XLA_TEXT = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8589934592 bytes."
ORT = "onnxruntime.capi.onnxruntime_pybind11_state"


class Rude(RuntimeError):
    def __str__(self):
        raise SystemExit


@pytest.mark.parametrize(
    "error",
    [
        TORCH,
        of("torch.cuda", "OutOfMemoryError"),
        kind("mine", "Wrapped", type(TORCH))(),
        of("cupy.cuda.memory", "OutOfMemoryError", "Out of memory allocating 1,024 bytes", MemoryError),
        of("cupy.cuda.memory", "OutOfMemoryError"),
        of("tensorflow.python.framework.errors_impl", "ResourceExhaustedError", "OOM when allocating tensor"),
        of("jaxlib.xla_extension", "XlaRuntimeError", XLA_TEXT, RuntimeError),
        of("jax.errors", "JaxRuntimeError", XLA_TEXT, RuntimeError),
        of(ORT, "Fail", "[ONNXRuntimeError] : 1 : FAIL : bfc_arena.cc Failed to allocate memory for requested buffer"),
        of(ORT, "RuntimeException", "CUDA failure 2: out of memory ; GPU=0 ; hostname=x"),
        of("cupy_backends.cuda.api.runtime", "CUDARuntimeError", "cudaErrorMemoryAllocation: out of memory"),
        of("numba.cuda.cudadrv.driver", "CudaAPIError", "[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"),
        of("pycuda._driver", "MemoryError", "cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY"),
        of("pycuda._driver", "MemoryError", "cuMemAlloc failed: out of memory"),
        of(ORT, "RuntimeException", "Available memory of 0 is smaller than requested bytes of 8"),
        of(ORT, "RuntimeException", "RUNTIME_EXCEPTION : Exception during run: std::bad_alloc"),
        of("tensorflow.python.framework.errors_impl", "InternalError", "Dst tensor is not initialized."),
        of("xgboost.core", "XGBoostError", "Memory allocation error: std::bad_alloc: cudaErrorMemoryAllocation"),
        of("lightgbm.basic", "LightGBMError", "[CUDA] out of memory /LightGBM/src/cuda/vector.cpp 38"),
        RuntimeError("CUDA failed with error out of memory"),  # CTranslate2
        RuntimeError("cuda failed with error 2 out of memory. use CUDA_LAUNCH_BLOCKING=1"),  # spconv
        RuntimeError("[TensorRT-LLM][ERROR] CUDA runtime error in cudaMalloc: out of memory (/src/cuda.h:1)"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 14.76 GiB total capacity)"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("HIP out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
        of("numpy._core._exceptions", "_ArrayMemoryError", "Unable to allocate 8 TiB", MemoryError),
        chained(ValueError("too long"), cause=TORCH),
        chained(ValueError("too long"), context=TORCH),
        chained(ValueError(), context=chained(KeyError(), cause=chained(OSError(), context=MemoryError()))),
        ExceptionGroup("of a task group", [ValueError(), ExceptionGroup("and its own", [TORCH])]),
    ],
    ids=repr,
)  # fmt: skip
def test_memory_ran_out(error):
    assert out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("CUDA out of memory"),
        RuntimeError("out of memory"),
        RuntimeError("CUDA runtime error in cudaFree: invalid argument; the host is not out of memory"),
        of("tensorflow.python.framework.errors_impl", "InternalError", "Blas GEMM launch failed"),
        of("triton.runtime.errors", "OutOfResources", "out of resource: shared memory, Required: 65536"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED"),
        of("torch", "AcceleratorError", "CUDA error: an illegal memory access was encountered", RuntimeError),
        of("mine", "OutOfMemoryError", "of my own"),
        of("torchlike", "OutOfMemoryError"),
        of("google.api_core.exceptions", "ResourceExhausted", "429 quota"),
        of("jaxlib.xla_extension", "XlaRuntimeError", "INTERNAL: Failed to execute", RuntimeError),
        of(ORT, "InvalidArgument", "Got invalid dimensions for input"),
        chained(ValueError("too long"), context=TORCH, hidden=True),
        chained(ValueError("too long"), cause=KeyError("x"), context=TORCH),
        Rude(),
        KeyboardInterrupt(),
        SystemExit("CUDA out of memory"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_something_else_happened(error):
    assert not out_of_memory(error)


def test_exceptions_may_lead_to_each_other_without_end():
    one, other = ValueError(), KeyError()
    chained(one, context=other), chained(other, context=one)
    assert not out_of_memory(one)
    first = error = ValueError()
    for _ in range(1000):
        error.__context__ = ValueError()
        error = error.__context__
    error.__context__ = MemoryError()
    assert not out_of_memory(first)  # nobody looks that far


def test_what_torch_really_raises():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(caught.value)
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2) @ torch.ones(3)
    assert not out_of_memory(caught.value)


class Cyclic:
    def __init__(self):
        self.me = self


def test_libraries_give_back_what_they_keep_and_cycles_are_found():
    given_back = []
    torch = SimpleNamespace(cuda=SimpleNamespace(empty_cache=lambda: given_back.append("torch")))
    cupy = SimpleNamespace(
        get_default_memory_pool=lambda: SimpleNamespace(free_all_blocks=lambda: given_back.append("cupy"))
    )
    gc.disable()
    try:
        gone = weakref.ref(Cyclic())
        assert gone() is not None
        free({"torch": torch, "cupy": cupy})
        assert gone() is None
    finally:
        gc.enable()
    assert given_back == ["torch", "cupy"]
    free({"torch": SimpleNamespace()})  # half imported, say
    free({})


def test_memory_is_given_back_once_for_each_time_that_it_ran_out(monkeypatch):
    freed = []
    monkeypatch.setattr("bentod.worker.exhaustion.free", lambda: freed.append(True))
    memory = Memory()
    assert not memory.ran_out(ValueError())
    memory.relieve()
    assert freed == []
    assert memory.ran_out(MemoryError())
    assert not memory.ran_out(ValueError())
    memory.relieve()
    memory.relieve()
    assert freed == [True]
