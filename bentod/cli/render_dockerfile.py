"""`bentod render dockerfile`: what `bentod build-image` gives to an engine, besides the files."""

from __future__ import annotations

import argparse
import os

from bentod.cli.image_plan import planned
from bentod.render.dockerfile import dockerfile, dockerignore
from bentod.spec.load import Loaded


def dockerfile_files(args: argparse.Namespace, loaded: Loaded) -> dict[str, str]:
    """The Dockerfile, and what of its folder is no part of the build. Raises SpecError, Unwritable."""
    image = planned(loaded, os.environ).image
    text = dockerfile(image, syntax=bool(args.syntax), cache=not args.no_cache_mounts)
    return {"Dockerfile": text, ".dockerignore": dockerignore(image)}
