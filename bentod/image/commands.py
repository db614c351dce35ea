"""The command lines of the engines that are not asked through an API. Values in, words out: nothing is run."""

from __future__ import annotations

from collections.abc import Iterator

from bentod.image.order import FOLDER, Command, NoEngine, Order


def docker(order: Order, program: str = "docker") -> tuple[Command, ...]:
    """Docker's own command line, which its API is not enough for if there are secrets."""
    if len(order.platforms) > 1:
        raise NoEngine(_ONE_PLATFORM)
    words = (*_tags(order), *_platforms(order), *_options(order))
    build = Command((program, "build", "--progress", "plain", *words, "-"), "stdin", {"DOCKER_BUILDKIT": "1"})
    return (build, *_pushes(program, order))


_ONE_PLATFORM = (
    "docker builds for one platform at a time; give one `--platform`, or use `--backend buildx` or `--backend podman`"
)


def check_platforms(order: Order) -> None:
    """Raises NoEngine if Docker's engine cannot build for so many platforms."""
    if len(order.platforms) > 1:
        raise NoEngine(_ONE_PLATFORM)


def buildx(order: Order) -> tuple[Command, ...]:
    """Docker's plug-in, which pushes by itself; an image for several platforms can only be pushed."""
    if len(order.platforms) > 1 and not order.push:
        raise NoEngine("an image for several platforms cannot be loaded into Docker's engine: add `--push`")
    words = (*_tags(order), *_platforms(order), *_options(order), "--push" if order.push else "--load")
    return (Command(("docker", "buildx", "build", "--progress", "plain", *words, "-"), "stdin"),)


def podman(order: Order) -> tuple[Command, ...]:
    """Podman; images of its own format have no health check, so they are of Docker's."""
    return _of_containers("podman", order)


def buildah(order: Order) -> tuple[Command, ...]:
    """Buildah."""
    return _of_containers("buildah", order)


def _of_containers(program: str, order: Order) -> tuple[Command, ...]:
    several = len(order.platforms) > 1
    names = ("--manifest", order.tags[0]) if several else tuple(_tags(order))
    words = (*names, *_platforms(order), *_options(order))
    build = Command(
        (program, "build", "--format", "docker", *words, "--file", f"{FOLDER}/Dockerfile", FOLDER), "folder"
    )
    more = [Command((program, "tag", order.tags[0], tag)) for tag in order.tags[1:]] if several else []
    return (build, *more, *_pushes(program, order, manifest=several))


def buildctl(order: Order) -> tuple[Command, ...]:
    """BuildKit's own. What it builds stays with it, unless it is pushed."""
    names = ",".join(order.tags)
    output = f'type=image,"name={names}"' if len(order.tags) > 1 else f"type=image,name={names}"
    words = ["--frontend", "dockerfile.v0", "--local", f"context={FOLDER}", "--local", f"dockerfile={FOLDER}"]
    if order.platforms:
        words += ["--opt", f"platform={','.join(order.platforms)}"]
    for name, value in order.build_args.items():
        words += ["--opt", f"build-arg:{name}={value}"]
    if order.network:
        words += ["--opt", f"force-network-mode={order.network}"]
        words += ["--allow", "network.host"] if order.network == "host" else []
    words += [word for secret in order.secrets for word in ("--secret", secret.argument)]
    words += ["--no-cache"] if order.no_cache else []
    words += ["--output", f"{output},push=true" if order.push else output]
    return (Command(("buildctl", "build", "--progress", "plain", *words), "folder"),)


def _tags(order: Order) -> Iterator[str]:
    for tag in order.tags:
        yield from ("--tag", tag)


def _platforms(order: Order) -> tuple[str, ...]:
    return ("--platform", ",".join(order.platforms)) if order.platforms else ()


def _options(order: Order) -> Iterator[str]:
    for name, value in order.build_args.items():
        yield from ("--build-arg", f"{name}={value}")
    for secret in order.secrets:
        yield from ("--secret", secret.argument)
    if order.no_cache:
        yield "--no-cache"
    if order.network:
        yield from ("--network", order.network)


def _pushes(program: str, order: Order, *, manifest: bool = False) -> tuple[Command, ...]:
    if not order.push:
        return ()
    if manifest:
        whole = (program, "manifest", "push", "--all", order.tags[0])
        return tuple(Command((*whole, f"docker://{tag}")) for tag in order.tags)
    return tuple(Command((program, "push", tag)) for tag in order.tags)
