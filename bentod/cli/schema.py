"""`bentod schema`: the JSON Schema of the bentofile."""

from __future__ import annotations

import argparse

from bentod.shipped import shipped


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb has no options."""


def run(args: argparse.Namespace) -> int:
    """Print the published schema."""
    print(shipped("schemas/bentofile.schema.json").read_text("utf-8"), end="")
    return 0
