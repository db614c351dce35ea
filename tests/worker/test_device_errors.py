"""Exceptions after which a process cannot use its GPU any more, and those after which it can."""

from __future__ import annotations

import pytest

from bentod.wire.entries import NAMED
from bentod.wire.orders import DeviceFailed, Failed, Probe, Ready
from bentod.worker.calls import Caller
from bentod.worker.device_errors import device_error
from bentod.worker.together import Together
from tests.support.gateways import bounds, entries
from tests.support.workers import worker

HINT = "\nCUDA kernel errors might be asynchronously reported at some other API call.\n"
ILLEGAL = "an illegal memory access was encountered"
FAR = 1e18


def like(name, module, base=RuntimeError):
    """A class of exceptions as a library that is not here has it."""
    return type(name, (base,), {"__module__": module})


Accelerator = like("AcceleratorError", "torch")
Cupy = like("CUDARuntimeError", "cupy_backends.cuda.api.runtime")
CupyDriver = like("CUDADriverError", "cupy_backends.cuda.api.driver")
Numba = like("CudaAPIError", "numba.cuda.cudadrv.driver", Exception)
Pycuda = like("LaunchError", "pycuda._driver", Exception)
Xla = like("XlaRuntimeError", "jaxlib.xla_extension")
Onnx = like("Fail", "onnxruntime.capi.onnxruntime_pybind11_state", Exception)
TensorFlow = like("InternalError", "tensorflow.python.framework.errors_impl", Exception)
OutOfMemory = like("OutOfMemoryError", "torch")


class Unspeakable(RuntimeError):
    def __str__(self):
        raise ValueError("no text")


LOST = [
    (Accelerator(f"CUDA error: device-side assert triggered{HINT}"), "device-side assert triggered"),
    (Accelerator(f"CUDA error: {ILLEGAL}{HINT}"), ILLEGAL),
    (RuntimeError(f"CUDA error: {ILLEGAL}{HINT}"), ILLEGAL),
    (RuntimeError("CUDA error: unspecified launch failure"), "unspecified launch failure"),
    (RuntimeError("CUDA error: misaligned address"), "misaligned address"),
    (RuntimeError("CUDA error: an illegal instruction was encountered"), "an illegal instruction was encountered"),
    (RuntimeError("CUDA error: hardware stack error"), "hardware stack error"),
    (RuntimeError("CUDA error: invalid program counter"), "invalid program counter"),
    (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "uncorrectable ECC error encountered"),
    (RuntimeError("CUDA error: the launch timed out and was terminated"), "the launch timed out and was terminated"),
    (RuntimeError("CUDA error: unknown error"), "unknown error"),
    (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "CUDNN_STATUS_EXECUTION_FAILED"),
    (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), "CUDNN_STATUS_INTERNAL_ERROR"),
    (
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, …)`"),
        "CUBLAS_STATUS_EXECUTION_FAILED",
    ),
    (RuntimeError(f"Triton Error [CUDA]: {ILLEGAL}"), ILLEGAL),
    (RuntimeError(f"CUDA failed with error {ILLEGAL}"), ILLEGAL),
    (Cupy(f"cudaErrorIllegalAddress: {ILLEGAL}"), "cudaErrorIllegalAddress"),
    (CupyDriver("CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure"), "CUDA_ERROR_LAUNCH_FAILED"),
    (Numba("[700] Call to cuMemcpyDtoH results in CUDA_ERROR_ILLEGAL_ADDRESS"), "CUDA_ERROR_ILLEGAL_ADDRESS"),
    (Pycuda(f"cuCtxSynchronize failed: {ILLEGAL}"), ILLEGAL),
    (Xla(f"INTERNAL: Failed to launch: CUDA_ERROR_ILLEGAL_ADDRESS: {ILLEGAL}"), "CUDA_ERROR_ILLEGAL_ADDRESS"),
    (Onnx(f"[ONNXRuntimeError] : 1 : FAIL : CUDA failure 700: {ILLEGAL} ; GPU=0"), ILLEGAL),
    (TensorFlow("Could not synchronize: CUDA_ERROR_ASSERT: device-side assert triggered"), "CUDA_ERROR_ASSERT"),
    (ExceptionGroup("two", [ValueError("x"), RuntimeError("CUDA error: misaligned address")]), "misaligned address"),
]
GONE = [
    (RuntimeError("CUDA error: no CUDA-capable device is detected"), "no CUDA-capable device is detected"),
    (Cupy("cudaErrorNoDevice: no CUDA-capable device is detected"), "cudaErrorNoDevice"),
    (
        RuntimeError("CUDA driver initialization failed, you might not have a CUDA gpu."),
        "CUDA driver initialization failed",
    ),
    (like("NVMLError_GpuIsLost", "pynvml", Exception)("GPU is lost"), "GPU is lost"),
]
FINE = [
    OutOfMemory("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB"),
    Accelerator("CUDA error: out of memory"),
    Accelerator("CUDA error: invalid argument"),
    Accelerator("CUDA error: invalid configuration argument"),
    Accelerator("CUDA error: no kernel image is available for execution on the device"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    Cupy("cudaErrorMemoryAllocation: out of memory"),
    CupyDriver("CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    RuntimeError("unknown error"),
    RuntimeError("No CUDA GPUs are available"),
    RuntimeError("Found no NVIDIA driver on your system."),
    RuntimeError("the launch timed out and was terminated"),
    ValueError(f"the upstream said: CUDA error: {ILLEGAL}"),
    ValueError(""),
    Unspeakable(),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize(("error", "text"), LOST, ids=lambda one: str(one)[:60])
def test_after_these_no_cuda_call_works(error, text):
    assert device_error(error, given=True) == device_error(error, given=False) == text


@pytest.mark.parametrize(("error", "text"), GONE, ids=lambda one: str(one)[:60])
def test_a_device_that_is_gone_is_news_only_to_who_had_one(error, text):
    assert device_error(error, given=True) == text
    assert device_error(error, given=False) == ""


@pytest.mark.parametrize("error", FINE, ids=lambda one: f"{type(one).__name__}")
def test_after_these_the_process_is_as_good_as_before(error):
    assert device_error(error, given=True) == ""


def raised(call):
    try:
        call()
    except BaseException as error:
        return error


def test_whatever_the_users_code_made_of_it():
    def cause():
        try:
            raise RuntimeError("CUDA error: misaligned address")
        except RuntimeError as error:
            raise LookupError("the model is tired") from error

    def hidden():
        try:
            raise RuntimeError("CUDA error: misaligned address")
        except RuntimeError:
            raise LookupError("the model is tired") from None

    for call in (cause, hidden):
        assert device_error(raised(call), given=True) == "misaligned address"


def test_errors_that_came_from_themselves_end_the_search():
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert device_error(first, given=True) == ""
    deep = ValueError("top")
    for _ in range(10_000):
        above = ValueError("x")
        above.__cause__, deep = deep, above
    assert device_error(deep, given=True) == ""


# ── where it is seen ─────────────────────────────────────────────────────────────────────────────


class Ended(BaseException):
    """Stands for the end of the process."""


def caller(method):
    log, seen = [], []

    def spot(error):
        seen.append(error)
        if device_error(error, given=True):
            raise Ended

    return Caller(bounds(method), log.append, seen=spot), log, seen


def test_a_call_is_not_answered_and_the_log_has_the_traceback():
    def f(x):
        if x:
            raise RuntimeError("CUDA error: unspecified launch failure")
        raise LookupError("no")

    one, log, seen = caller(f)
    [entry] = entries(one.run((NAMED, 7, 0, FAR, {"x": 0}, None, None)))
    assert entry[3] == "target-raised"
    assert [type(error) for error in seen] == [LookupError]
    with pytest.raises(Ended):
        one.run((NAMED, 8, 0, FAR, {"x": 1}, None, None))
    assert "unspecified launch failure" in log[-1]


def test_nor_is_one_whose_answer_fails_only_when_it_is_fetched_from_the_gpu():
    class Late:
        def __array__(self, *_, **__):
            raise Xla("INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS")

        tolist = __array__

    Late.__module__ = "numpy"
    one, _, _ = caller(Late)
    with pytest.raises(Ended):
        one.run((NAMED, 7, 0, FAR, {}, None, None))


@pytest.mark.parametrize("apart", [True, False])
def test_a_batch_is_not_run_one_by_one_by_a_process_that_has_lost_its_gpu(apart):
    ran = []

    def f(x):
        ran.append(x)
        raise RuntimeError("CUDA error: device-side assert triggered")

    from bentod.worker.batches import Batch

    one, _, _ = caller(f)
    calls = {number: ((NAMED, number, 0, FAR, {"x": number}, None, None), ()) for number in range(3)}
    with pytest.raises(Ended):
        Together(one).run(Batch(0, "columns", calls, apart=apart), lambda _: None)
    assert ran == [[0, 1, 2]]


LOSES = """
class AcceleratorError(RuntimeError):
    pass
AcceleratorError.__module__ = "torch"

class Target:
    def __init__(self, at="hook"):
        self.at = at
        if at == "construct":
            raise AcceleratorError("CUDA error: uncorrectable ECC error encountered")
    def f(self):
        return 1
    def ready(self):
        if self.at == "hook":
            raise AcceleratorError("CUDA error: misaligned address")
"""


def test_a_ready_hook_that_meets_it_ends_the_process_with_its_own_exit_code(tmp_path):
    (tmp_path / "m.py").write_text(LOSES)
    with worker(tmp_path, "m:Target", hooks={"ready": "ready"}) as one:
        assert isinstance(one.answer, Ready)
        one.send(Probe())
        said = one.receive()
        while not isinstance(said, DeviceFailed):
            said = one.receive()
        assert said.text == "misaligned address"
        assert one.process.wait(20) == 5
        assert "has lost its GPU" in one.stderr


def test_a_target_that_meets_it_while_it_starts_says_so(tmp_path):
    (tmp_path / "m.py").write_text(LOSES)
    with worker(tmp_path, "m:Target", init={"at": "construct"}) as one:
        assert isinstance(one.answer, Failed)
        assert (one.answer.stage, one.answer.device) == ("construct", "uncorrectable ECC error encountered")
        assert one.process.wait(20) == 4
