"""A hub as huggingface_hub speaks to it: which commit a revision is, which files that has, one file's bytes.

Only the fetching process imports this file. The library waits and tries again by itself, and as long as a hub asks for,
so its client is one that turns what may pass into `Passing`, which the library lets through; `bentod.models.patience`
decides. Its `snapshot_download` begins a file anew if the process is killed, checks no digest and takes as many bytes
as come, so files are fetched by `bentod.models.transfer`, into the library's cache.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url, set_client_factory
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (
    build_hf_headers,
    filter_repo_objects,
    get_session,
    get_token,
    hf_raise_for_status,
    validate_repo_id,
)

from bentod.models import digest
from bentod.models.home import ModelError, without_password
from bentod.models.orders import Limits
from bentod.models.patience import Passing
from bentod.models.progress import Listing, Offered
from bentod.plan.models import ModelPlan

_MAY_PASS = {408, 425, 429, 500, 502, 503, 504}
_ERRORS, _NO_SUCH_RANGE = 400, 416
_MOST_ENTRIES = 100_000
_SHOWN = 5


class _Client(httpx2.Client):
    """A client that says what may pass in a way that nobody below tries again. Only `endpoint` gets the token: a hub
    may say that the next page of a listing is anywhere."""

    def __init__(self, endpoint: str, silence_s: float) -> None:
        super().__init__(follow_redirects=True, timeout=silence_s)
        self._origin = _origin(httpx2.URL(endpoint))

    def send(self, request: httpx2.Request, **options: object) -> httpx2.Response:
        if _origin(request.url) != self._origin:
            request.headers.pop("authorization", None)
        with passing():
            response = super().send(request, **options)  # type: ignore[arg-type]
        if response.status_code in _MAY_PASS:
            response.close()
            raise Passing(f"it answered {response.status_code}", response.status_code, _asked_for(response))
        return response


class Hub:
    """One hub, at `endpoint`, or the usual one if that is empty."""

    def __init__(self, endpoint: str, limits: Limits) -> None:
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self._silence_s = limits.silence_s or constants.HF_HUB_DOWNLOAD_TIMEOUT
        self._api = HfApi(endpoint=self.endpoint)
        set_client_factory(lambda: _Client(self.endpoint, self._silence_s))

    @property
    def shown(self) -> str:
        """The endpoint as it may be told: without what only its owner should know."""
        return without_password(self.endpoint)

    @property
    def has_token(self) -> bool:
        """Whether requests carry a token."""
        return bool(get_token()) and not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN

    def commit(self, source: str, revision: str) -> str:
        """The commit that the revision is now."""
        _online()
        validate_repo_id(source)
        commit = self._api.model_info(source, revision=revision, timeout=self._silence_s).sha or ""
        if len(commit) != 40 or set(commit) - set("0123456789abcdef"):
            raise Unintelligible(f"it says that the commit is {commit[:80]!r}")
        return commit

    def listing(self, model: ModelPlan, commit: str) -> Listing:
        """The files of a commit that the model's patterns leave. Raises ModelError if there is none."""
        _online()
        validate_repo_id(model.source)
        found = self._api.list_repo_tree(model.source, revision=commit, recursive=True)
        entries = list(itertools.islice(found, _MOST_ENTRIES + 1))
        if len(entries) > _MOST_ENTRIES:
            raise ModelError(f"it lists more than {_MOST_ENTRIES} files, and bentod fetches no such model")
        return Listing(commit, _chosen(model, [_offered(one) for one in entries if isinstance(one, RepoFile)]))

    @contextlib.contextmanager
    def stream(self, source: str, commit: str, path: str, start: int) -> Iterator[httpx2.Response]:
        """The answer that holds the bytes of a file from `start` on, or from its beginning if the hub wants it so."""
        _online()
        headers = {**build_hf_headers(), "accept-encoding": "identity"}
        if start:
            headers["range"] = f"bytes={start}-"
        url = hf_hub_url(source, path, revision=commit, endpoint=self.endpoint)
        with passing(), get_session().stream("GET", url, headers=headers, timeout=self._silence_s) as response:
            status, store = response.status_code, response.url.netloc
            if status >= _ERRORS and status != _NO_SUCH_RANGE:
                if store != httpx2.URL(url).netloc:  # it may go well with a new link to there
                    raise Passing(f"{store.decode(errors='replace')}, where it keeps files, answered {status}")
                hf_raise_for_status(response)
            yield response


class Unintelligible(Exception):
    """A hub answered what no hub answers."""


class Offline(Exception):
    """The environment says that no hub is to be asked."""


@contextlib.contextmanager
def passing() -> Iterator[None]:
    """Turns the errors of a connection into Passing."""
    try:
        yield
    except (httpx2.TransportError, httpx2.DecodingError) as error:
        what = str(error) or {"ReadTimeout": "it was silent for too long"}.get(type(error).__name__, "")
        raise Passing(f"{type(error).__name__}: {what}" if what else type(error).__name__) from error


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _online() -> None:
    if constants.is_offline_mode():
        raise Offline


def _asked_for(response: httpx2.Response) -> float | None:
    """How many seconds the hub asks to wait."""
    text = response.headers.get("retry-after", "").strip()
    return float(text[:9]) if text.isdecimal() else None  # it may be a date, but no hub sends one


def _offered(file: RepoFile) -> Offered:
    if reason := digest.why_not_a_path(file.path):
        raise ModelError(f"it lists the file {file.path[:200]!r}, and {reason}; that is no model to fetch")
    size: Any = file.size if file.lfs is None else file.lfs.size
    if not isinstance(size, int) or size < 0:
        raise Unintelligible(f"it says that {file.path} has {size!r:.80} bytes")
    return Offered(file.path, size, file.lfs.sha256 if file.lfs else "", file.blob_id)


def _chosen(model: ModelPlan, files: list[Offered]) -> tuple[Offered, ...]:
    chosen = tuple(
        filter_repo_objects(
            sorted(files, key=lambda file: file.path.encode()),
            allow_patterns=list(model.include) or None,
            ignore_patterns=list(model.exclude) or None,
            key=lambda file: file.path,
        )
    )
    if chosen:
        return chosen
    if not files:
        raise ModelError("the repository has no files at that commit; name another `revision`")
    names = ", ".join(f"`{file.path}`" for file in files[:_SHOWN])
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    patterns = "; ".join(
        f"`{key}` is {', '.join(f'`{one}`' for one in value)}"
        for key, value in (("include", model.include), ("exclude", model.exclude))
        if value
    )
    raise ModelError(f"no file is left: {patterns}, and the repository has {names}{more}; change the patterns")
