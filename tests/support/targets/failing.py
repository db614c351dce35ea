"""Calls that raise, with what nobody outside may read in their texts and names."""

import sys


class ModelError(Exception):
    pass


class TooHot(ModelError):
    pass


class Outer:
    class InnerError(ModelError):
        pass


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def fail(kind):
    _secret_helper(kind)


async def fail_async(kind):
    _secret_helper(kind)


def _secret_helper(kind):
    match kind:
        case "exit":
            sys.exit("secret-exit")
        case "interrupt":
            raise KeyboardInterrupt
        case "key":
            return {}["secret-key"]
        case "unprintable":
            raise Unprintable
        case "recursion":
            return _secret_helper(kind)
        case "surrogate":
            raise ModelError("secret \ud800 text")
        case "long":
            raise ModelError("long " * 100_000)
        case "cause":
            try:
                raise ValueError("secret-cause")
            except ValueError as error:
                raise RuntimeError("secret-effect") from error
    raise KINDS[kind]("secret-text")


KINDS = {
    "value": ValueError,
    "model": ModelError,
    "hot": TooHot,
    "inner": Outer.InnerError,
    "unicode": UnicodeError,
    "memory": MemoryError,
    "stop": StopIteration,
    "generator": GeneratorExit,
    "timeout": TimeoutError,
}
