"""The models that a spec names: what to fetch, and where they lie on this host."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the process that fetches needs no spec
    from bentod.spec.model import Spec
    from bentod.spec.model_build import Model

Kind = Literal["path", "store", "hf"]

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """One model, as the spec and its lock file name it.

    `source` has no scheme: of a `path` it is the absolute path, of a `store` model `name` or `name:version`, of an `hf`
    one `org/name`. `revision` is a branch, tag or commit of a Hugging Face repository; `include` and `exclude` are
    patterns as `huggingface_hub` has them, and `endpoint` is the hub's URL, "" for the usual one. `digest` is what the
    spec demands, as `sha256:<hex>`, or "".

    `commit` (40 hex digits; hf) and `version` (store) are what the model is pinned to; "" if it is not. `locked` is the
    digest that the lock file has for that commit, "" if it has none: a hub may send anything.
    """

    name: str
    kind: Kind
    source: str
    revision: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    endpoint: str = ""
    digest: str = ""
    commit: str = ""
    version: str = ""
    locked: str = field(default="", compare=False)

    @property
    def uri(self) -> str:
        """The source as it is written in a spec."""
        return self.source if self.kind == "path" else f"{self.kind}://{self.source}"


@dataclass(frozen=True, slots=True)
class Located:
    """A model that lies on this host, complete: the absolute `path` of its folder or file, the `digest` of its file set
    (`sha256:<hex>` over the sorted lines `<sha256>  <path>`), its `size` in bytes and number of `files`."""

    name: str
    path: str
    digest: str
    commit: str = ""
    version: str = ""
    size: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True)
class Missing:
    """A model that does not lie on this host, and why. `fetchable`: fetching it may help."""

    name: str
    reason: str
    fetchable: bool


def planned(spec: Spec) -> tuple[ModelPlan, ...]:
    """The models of a spec, in its order."""
    return tuple(_planned(name, model) for name, model in spec.models.items())


def _planned(name: str, model: Model) -> ModelPlan:
    scheme, separator, rest = model.source.partition("://")
    digest = model.digest or ""
    if not separator:
        return ModelPlan(name, "path", model.source, digest=digest)
    if scheme == "store":
        return ModelPlan(name, "store", rest, digest=digest)
    revision = model.revision or "main"
    return ModelPlan(
        name,
        "hf",
        rest,
        revision,
        model.include,
        model.exclude,
        model.endpoint or "",
        digest,
        commit=revision if _COMMIT.fullmatch(revision) else "",
    )
