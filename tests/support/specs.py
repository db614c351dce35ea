"""Small specs: written to a folder, loaded, and what is wrong with them as rows."""

import copy
import json
from pathlib import Path

from bentod.errors import SpecError
from bentod.spec.load import load

MODULE = """
def greet(name, greeting="Hello"): ...

async def later(name): ...

class Model:
    def run(self, x): ...
"""
BASE = {
    "bentod": 1,
    "name": "app",
    "services": {"s": {"target": "hello"}},
    "apis": {"greet": {"service": "s"}},
}

BAD = {
    "unknown key": ({"versoin": "1"}, "versoin"),
    "unknown key of an api": ({"apis": {"greet": {"inptu": True}}}, "apis.greet.inptu"),
    "format of another version": ({"bentod": 2}, "bentod"),
    "format as text": ({"bentod": "1"}, "bentod"),
    "name is no DNS label": ({"name": "My App"}, "name"),
    "number for a string": ({"version": 1.5}, "version"),
    "label is no string": ({"labels": {"a": 1}}, "labels.a"),
    "env is a list": ({"env": ["A=1"]}, "env"),
    "name of a variable": ({"env": {"A-B": "x"}}, "env.A-B"),
    "env_files is a string": ({"env_files": ".env"}, "env_files"),
    "name of a type": ({"types": {"a b": True}}, 'types["a b"]'),
    "type is no schema": ({"types": {"T": 3}}, "types.T"),
    "type with an unknown kind": ({"types": {"T": {"type": "strin"}}}, "types.T.type"),
    "name of a service": ({"services": {"2": {"target": "hello"}}}, "services.2"),
    "service is a list": ({"services": {"t": []}}, "services.t"),
    "service without target": ({"services": {"t": {}}}, "services.t.target"),
    "no worker": ({"services": {"s": {"workers": 0}}}, "services.s.workers"),
    "workers as text": ({"services": {"s": {"workers": "two"}}}, "services.s.workers"),
    "truth for a number": ({"services": {"s": {"threads": True}}}, "services.s.threads"),
    "half a call": ({"services": {"s": {"concurrency": 1.5}}}, "services.s.concurrency"),
    "hook is no name": ({"services": {"s": {"hooks": {"start": "a b"}}}}, "services.s.hooks.start"),
    "unknown hook": ({"services": {"s": {"hooks": {"begin": "greet"}}}}, "services.s.hooks.begin"),
    "null for a hook": ({"services": {"s": {"hooks": {"start": None}}}}, "services.s.hooks.start"),
    "duration without unit": ({"services": {"s": {"start_timeout": 5}}}, "services.s.start_timeout"),
    "duration with a strange unit": ({"services": {"s": {"stop_timeout": "5 days"}}}, "services.s.stop_timeout"),
    "factor below one": ({"services": {"s": {"restart": {"factor": 0.5}}}}, "services.s.restart.factor"),
    "negative limit": ({"services": {"s": {"restart": {"limit": -1}}}}, "services.s.restart.limit"),
    "recycle without when": ({"services": {"s": {"recycle": {}}}}, "services.s.recycle"),
    "null for recycle": ({"services": {"s": {"recycle": None}}}, "services.s.recycle"),
    "recycled after no call": ({"services": {"s": {"recycle": {"max_calls": 0}}}}, "services.s.recycle.max_calls"),
    "age without unit": ({"services": {"s": {"recycle": {"max_age": 60}}}}, "services.s.recycle.max_age"),
    "memory without unit": ({"services": {"s": {"recycle": {"max_memory": 9}}}}, "services.s.recycle.max_memory"),
    "unknown key of recycle": ({"services": {"s": {"recycle": {"max_call": 9}}}}, "services.s.recycle.max_call"),
    "another way to reload": ({"services": {"s": {"reload": "rolling"}}}, "services.s.reload"),
    "service's reload is a map": ({"services": {"s": {"reload": {}}}}, "services.s.reload"),
    "reload is no map": ({"reload": "auto"}, "reload"),
    "unknown key of reload": ({"reload": {"wach": True}}, "reload.wach"),
    "text for watch": ({"reload": {"watch": "no"}}, "reload.watch"),
    "include is a string": ({"reload": {"include": "*.json"}}, "reload.include"),
    "pattern is empty": ({"reload": {"include": ["a", ""]}}, "reload.include[1]"),
    "pattern is a comment": ({"reload": {"exclude": ["# data"]}}, "reload.exclude[0]"),
    "pattern excludes nothing": ({"reload": {"exclude": ["!"]}}, "reload.exclude[0]"),
    "pattern ends with nothing escaped": ({"reload": {"include": ["a\\"]}}, "reload.include[0]"),
    "debounce without unit": ({"reload": {"debounce": 300}}, "reload.debounce"),
    "no api": ({"apis": None}, "apis"),
    "name of an api": ({"apis": {"a/b": {"service": "s"}}}, "apis.a/b"),
    "route without slash": ({"apis": {"greet": {"route": "greet"}}}, "apis.greet.route"),
    "route with a query": ({"apis": {"greet": {"route": "/greet?x"}}}, "apis.greet.route"),
    "tags is a string": ({"apis": {"greet": {"tags": "a"}}}, "apis.greet.tags"),
    "text for truth": ({"apis": {"greet": {"deprecated": "no"}}}, "apis.greet.deprecated"),
    "input is no schema": ({"apis": {"greet": {"input": {"minimum": "3"}}}}, "apis.greet.input.minimum"),
    "input is a string": ({"apis": {"greet": {"input": "string"}}}, "apis.greet.input"),
    "tensor without shape": (
        {"apis": {"greet": {"output": {"format": "tensor", "dtype": "int8"}}}},
        "apis.greet.output.shape",
    ),
    "dtype of no library": (
        {"apis": {"greet": {"input": {"items": {"format": "tensor", "dtype": "float", "shape": []}}}}},
        "apis.greet.input.items.dtype",
    ),
    "half a dimension": (
        {"types": {"T": {"format": "tensor", "dtype": "int8", "shape": [-1, 0.5]}}},
        "types.T.shape[1]",
    ),
    "picture that is a number": ({"types": {"T": {"format": "image", "type": "number"}}}, "types.T.type"),
    "picture that is a film": (
        {"types": {"T": {"format": "image", "contentMediaType": "video/*"}}},
        "types.T.contentMediaType",
    ),
    "no pixel": ({"types": {"T": {"format": "image", "maxPixels": 0}}}, "types.T.maxPixels"),
    "bytes with a pattern": ({"types": {"T": {"format": "binary", "pattern": "x"}}}, "types.T.pattern"),
    "bytes in hexadecimal": (
        {"types": {"T": {"format": "binary", "contentEncoding": "base16"}}},
        "types.T.contentEncoding",
    ),
    "folders that are none": ({"types": {"T": {"format": "file", "within": "x"}}}, "types.T.within"),
    "dtype of nothing": ({"types": {"T": {"properties": {"a": {"dtype": "int8"}}}}}, "types.T.properties.a.dtype"),
    "stream of another kind": ({"apis": {"greet": {"stream": "websocket"}}}, "apis.greet.stream"),
    "stream_idle of no stream": ({"apis": {"greet": {"stream_idle": "5s"}}}, "apis.greet.stream_idle"),
    "no such way to take": ({"apis": {"greet": {"takes": "all"}}}, "apis.greet.takes"),
    "batch of nothing": ({"apis": {"greet": {"batching": {"max_size": 0}}}}, "apis.greet.batching.max_size"),
    "delay without unit": ({"apis": {"greet": {"batching": {"max_delay": 5}}}}, "apis.greet.batching.max_delay"),
    "unknown key of batching": ({"apis": {"greet": {"batching": {"size": 8}}}}, "apis.greet.batching.size"),
    "batching as truth": ({"apis": {"greet": {"batching": True}}}, "apis.greet.batching"),
    "null for batching": ({"apis": {"greet": {"batching": None}}}, "apis.greet.batching"),
    "level that there is not": ({"apis": {"greet": {"priority": 10}}}, "apis.greet.priority"),
    "level as text": ({"apis": {"greet": {"priority": "high"}}}, "apis.greet.priority"),
    "level as truth": ({"apis": {"greet": {"priority": True}}}, "apis.greet.priority"),
    "null for the priority": ({"apis": {"greet": {"priority": None}}}, "apis.greet.priority"),
    "default below all": ({"apis": {"greet": {"priority": {"default": 0}}}}, "apis.greet.priority.default"),
    "unknown key of the priority": ({"apis": {"greet": {"priority": {"lowest": 9}}}}, "apis.greet.priority.lowest"),
    "no concurrency": ({"apis": {"greet": {"concurrency": 0}}}, "apis.greet.concurrency"),
    "no queue": ({"apis": {"greet": {"queue": 0}}}, "apis.greet.queue"),
    "size without unit": ({"apis": {"greet": {"max_body": 1024}}}, "apis.greet.max_body"),
    "exception without module": ({"apis": {"greet": {"errors": {"ValueError": 422}}}}, "apis.greet.errors.ValueError"),
    "status of success": (
        {"apis": {"greet": {"errors": {"builtins:OSError": 200}}}},
        "apis.greet.errors.builtins:OSError",
    ),
    "example without input": ({"apis": {"greet": {"examples": [{"name": "a"}]}}}, "apis.greet.examples[0].input"),
    "negative tolerance": (
        {"apis": {"greet": {"examples": [{"name": "a", "input": 1, "tolerance": -1}]}}},
        "apis.greet.examples[0].tolerance",
    ),
    "port is no number": ({"server": {"listen": "localhost:http"}}, "server.listen"),
    "address is a number": ({"server": {"listen": ["127.0.0.1:1", 3000]}}, "server.listen[1]"),
    "prefix ends with a slash": ({"server": {"path_prefix": "/v1/"}}, "server.path_prefix"),
    "no gateway": ({"server": {"gateways": 0}}, "server.gateways"),
    "model without source": ({"models": {"m": {}}}, "models.m.source"),
    "model of another kind": ({"models": {"m": {"source": "s3://b/k"}}}, "models.m.source"),
    "model that climbs": ({"models": {"m": {"source": "store://a..b"}}}, "models.m.source"),
    "repository with three parts": ({"models": {"m": {"source": "hf://a/b/c"}}}, "models.m.source"),
    "digest of half a length": ({"models": {"m": {"source": "m", "digest": "sha256:00"}}}, "models.m.digest"),
    "revision that climbs": ({"models": {"m": {"source": "hf://a/b", "revision": "../x"}}}, "models.m.revision"),
    "hub with a password": (
        {"models": {"m": {"source": "hf://a/b", "endpoint": "https://u:p@hub"}}},
        "models.m.endpoint",
    ),
    "python of old": ({"build": {"python": "3.9"}}, "build.python"),
    "distribution that is none": ({"build": {"distro": "arch"}}, "build.distro"),
    "cuda as a number": ({"build": {"cuda": 12.8}}, "build.cuda"),
    "image with a tag": ({"build": {"image": "a/b:1"}}, "build.image"),
    "package that is an option": ({"build": {"packages": ["--index-url=x"]}}, "build.packages[0]"),
    "system package that is an option": ({"build": {"system_packages": ["-y"]}}, "build.system_packages[0]"),
    "system package with a command": ({"build": {"system_packages": ["a; b"]}}, "build.system_packages[0]"),
    "command that is a string": ({"build": {"run": ["pip list"]}}, "build.run[0]"),
    "command of nothing": ({"build": {"run": [[]]}}, "build.run[0]"),
    "index with a password": ({"build": {"index_url": "https://u:p@host/simple"}}, "build.index_url"),
    "user with a name": ({"build": {"user": "root"}}, "build.user"),
    "secret with a path": ({"build": {"secrets": ["a/b"]}}, "build.secrets[0]"),
    "unknown key of build": ({"build": {"pyhton": "3.12"}}, "build.pyhton"),
    "unknown key of conda": ({"build": {"conda": {"env": "a"}}}, "build.conda.env"),
    "workers in words": ({"services": {"s": {"workers": "many"}}}, "services.s.workers"),
    **{
        f"{key}: {value}": ({"services": {"s": {"resources": {key: value}}}}, f"services.s.resources.{key}")
        for key, values in {
            "cpus": (0, -1, "1", True, 5000),
            "memory": (1024, "1", "1XB"),
            "gpus": (1.5, -1, 65, "half"),
            "gpu_memory": (8,),
            "gpu_type": (1, " "),
            "gpu": (1,),
        }.items()
        for value in values
    },
    **{
        f"server's {key} comes later": ({"server": {key: {}}}, f"server.{key}")
        for key in ("cors", "tls", "auth", "rate_limit")
    },
}
"""What a JSON Schema can judge too: what is laid over BASE, and the path of the one problem that it makes."""


def laid_over(left, right):
    """`right` over a copy of `left`, maps merged by key."""
    if not (isinstance(left, dict) and isinstance(right, dict)):
        return copy.deepcopy(right)
    return {**copy.deepcopy(left), **{key: laid_over(left.get(key), value) for key, value in right.items()}}


def write(folder: Path, files: dict[str, str]) -> Path:
    """The files in `folder`, with a module `hello.py`; the path of the first."""
    for name, text in {"hello.py": MODULE, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / next(iter(files))


def loaded(folder: Path, text, environ=None, name="bentofile.yaml", **files):
    """The spec in `text` (or plain data), loaded."""
    text = text if isinstance(text, str) else json.dumps(text)
    return load([write(folder, {name: text, **files})], environ or {})


def problems(folder: Path, text, environ=None, name="bentofile.yaml", **files):
    """The problems of the spec in `text`; none if it loads."""
    try:
        loaded(folder, text, environ, name, **files)
    except SpecError as error:
        return list(error.problems)
    return []


def places(found):
    """The problems as `line:column path code`."""
    return [f"{p.line}:{p.column} {p.path} {p.code}" for p in found]
