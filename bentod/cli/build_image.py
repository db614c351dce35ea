"""`bentod build-image`: the spec as a container image."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from bentod.cli import build_image_context as gathering
from bentod.cli.build_image_context import Examined
from bentod.cli.build_image_options import Options, add, checked, refuse
from bentod.cli.project import chosen
from bentod.daemon.drifted import drifted
from bentod.image import choose, folder, report
from bentod.image.context import Context, ContextError
from bentod.image.order import Order
from bentod.lock.file import lock_path
from bentod.spec.load import Loaded, load


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add(parser)


def run(args: argparse.Namespace) -> int:
    """0: built, or nothing is wrong. Raises SpecError, NoEngine, BuildFailed, ContextError, ModelError, GitError."""
    refuse(args)
    environ = dict(os.environ)
    begun = time.monotonic()
    with _ended_by_signals():
        loaded = load(chosen(args), environ)
        options, problems = checked(args, loaded, environ)
        if args.check and lock_path(loaded.files[0]).exists():
            problems += drifted(loaded, environ)
        files = [secret.file for secret in options.secrets if secret.file is not None]
        found = gathering.examined(loaded, environ, syntax=args.syntax, given=problems, secrets=files)
        for note in found.notes:
            _tell(f"note: {note}")
        if args.check or args.dry_run:
            _say(args, loaded, found, options, environ)
        elif args.output:
            _write(args.output, gathering.made(_fetched(found, environ), loaded, environ))
        else:
            _build(args, options, loaded, found, begun)
    return 0


def _say(args: argparse.Namespace, loaded: Loaded, found: Examined, options: Options, environ: dict[str, str]) -> None:
    """Everything was looked at; here is what would be built from."""
    context = gathering.made(found, loaded, environ)
    print("\n".join(report.summary(gathering.sources(found, context))))
    for model in found.weights.wanted:
        done = "fetched" if model.name in found.weights.missing else "asked for at its hub"
        print(f"model    {model.name}: {model.uri} would be {done}")
    if args.check:
        print(f"{' + '.join(map(str, loaded.files))}: nothing is wrong with {', '.join(options.tags)}")
        return
    order = _order(args, options, found, context)
    name = choose.likely(args.backend, environ)
    digest = hashlib.sha256(found.dockerfile.encode()).hexdigest()
    print(f"would build {', '.join(options.tags)} with {name} from the Dockerfile sha256:{digest}:")
    print("\n".join(f"  {line}" for line in choose.described(name, order, environ)))


def _build(args: argparse.Namespace, options: Options, loaded: Loaded, found: Examined, begun: float) -> None:
    environ = dict(os.environ)
    probe = _order(args, options, found, Context(()))
    builder = choose.chosen(args.backend, probe, environ)  # before models are fetched
    found = _fetched(found, environ)
    context = gathering.made(found, loaded, environ)
    sources = gathering.sources(found, context)
    image = builder.build(_order(args, options, found, context), _tell)
    seconds = round(time.monotonic() - begun, 3)
    made = report.Report(options.tags, builder.name, args.push, seconds, image, sources)
    print(report.text(made))
    if args.report:
        try:
            args.report.write_text(report.document(made), "utf-8")
        except OSError as error:
            raise ContextError(f"the report cannot be written to {args.report}: {error.strerror}") from None


def _fetched(found: Examined, environ: dict[str, str]) -> Examined:
    """With the models that were not here."""
    if not found.weights.wanted:
        return found
    from bentod.cli.build_image_models import fetched  # few images have models that must be fetched

    return fetched(found, environ)


def _order(args: argparse.Namespace, options: Options, found: Examined, context: Context) -> Order:
    return Order(
        context=context,
        dockerfile=found.dockerfile,
        tags=options.tags,
        platforms=options.platforms,
        push=args.push,
        secrets=options.secrets,
        build_args=options.build_args,
        no_cache=args.no_cache,
        network="" if args.network == "default" else args.network,
    )


def _write(where: Path, context: Context) -> None:
    folder.write(context, where)
    print(
        f"wrote the build context into {where}: {report.count(len(context.entries), 'file')}, "
        f"{report.amount(context.size)}"
    )


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end a build as Ctrl-C does: nothing is left behind. What is ignored stays ignored."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    ours = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
