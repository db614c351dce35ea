"""Why a hub did not give a model, in one line that says what to do. No token and no password is ever in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RemoteEntryNotFoundError,
    RevisionNotFoundError,
)

from bentod.models.home import ModelError
from bentod.models.huggingface import Offline, Unintelligible
from bentod.models.patience import Passing
from bentod.models.revisions import pinned, revision_of
from bentod.plan.models import ModelPlan

_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 429, 500


class Asked(Protocol):
    """What is needed of the hub that was asked."""

    @property
    def has_token(self) -> bool:
        """Whether requests carry a token."""

    @property
    def shown(self) -> str:
        """Its endpoint, as it may be told."""


@contextlib.contextmanager
def explained(model: ModelPlan, hub: Asked) -> Iterator[None]:
    """Turns everything that may go wrong with a hub into ModelError."""
    try:
        yield
    except Exception as error:
        revision = pinned(model) or revision_of(model)
        what = f"{model.uri} (revision {revision}) cannot be fetched from {hub.shown}"
        raise ModelError(f"model `{model.name}`: {what}: {_why(error, model, hub)}") from error


def _why(error: Exception, model: ModelPlan, hub: Asked) -> str:
    if isinstance(error, ModelError):
        return str(error)
    if isinstance(error, Passing):
        return _passing(error)
    if isinstance(error, HfHubHTTPError):
        return _answered(error, model, hub)
    if isinstance(error, Offline):
        return "HF_HUB_OFFLINE is set, and no complete fetch of it is here; unset it, or pull the model before"
    if isinstance(error, HFValidationError):
        return f"that is no name of a repository: {error}"
    if isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{place}; make room or choose another folder with HF_HOME"
    if isinstance(error, UnicodeEncodeError):
        return "HF_TOKEN, or another variable that requests carry, holds characters that no request can; check them"
    if isinstance(error, Unintelligible | ValueError | KeyError | TypeError | AttributeError | AssertionError):
        detail = str(error) if isinstance(error, Unintelligible) else f"{type(error).__name__}: {error}"[:200]
        return f"what it answered is not what a hub answers ({detail}); does `endpoint`, or HF_ENDPOINT, name a hub?"
    return f"{type(error).__name__}: {error}; check `source` and `endpoint`"


def _passing(error: Passing) -> str:
    if error.status == _TOO_MANY:
        asked = f" and asks to wait {error.wait_s:g} s" if error.wait_s else ""
        return f"it says that there were too many requests (429){asked}; try later; with HF_TOKEN set it allows more"
    if error.status >= _SERVER_ERROR:
        return f"it fails with {error.status}, again and again; try later, or name a mirror with `endpoint`"
    if str(error).startswith(("Connect", "Unsupported", "Proxy")):
        return f"{error}; is there a network, or a proxy needed? `endpoint` or HF_ENDPOINT name another hub"
    return f"{error}; what has come is kept, so try again once the network is well, or name another `endpoint`"


def _answered(error: HfHubHTTPError, model: ModelPlan, hub: Asked) -> str:
    status = error.response.status_code
    token = "HF_TOKEN is accepted by nobody, or not for this" if hub.has_token else "no token is set"
    if isinstance(error, RevisionNotFoundError):
        return f"the repository has no revision `{pinned(model) or revision_of(model)}`; name another `revision`"
    if isinstance(error, RemoteEntryNotFoundError):
        return f"a file that it listed is not there ({error.response.url.path}); try again"
    if isinstance(error, GatedRepoError) or status == _FORBIDDEN:
        licence = f"accept its conditions at {hub.shown}/{model.source}"
        return f"it is gated, or not for this account ({status}; {token}); {licence}, and set HF_TOKEN"
    if status == _UNAUTHORIZED:
        return f"it wants to know who asks (401; {token}); set HF_TOKEN, or check the name, if it is no private one"
    if status == _NOT_FOUND:
        return f"it has no such repository (404; {token}); check the name, or set HF_TOKEN, if it is a private one"
    return f"it answers {status}; check `source` and `endpoint`"
