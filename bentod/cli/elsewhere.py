"""`--inventory FILE`: another host than this one, on which a spec is placed without anything being started."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bentod.daemon.room import Room


def add_inventory(parser: argparse.ArgumentParser) -> None:
    """The `--inventory` option."""
    told = "place the services on a host as `bentod inventory --json` tells of it"
    parser.add_argument("--inventory", metavar="FILE", type=Path, help=told)


def room_of(args: argparse.Namespace) -> Room | None:
    """Where services are placed; None without the option. What variables of this environment say of GPUs is said of
    this host's, so it does not count. Raises SpecError for the file."""
    if args.inventory is None:
        return None
    from bentod.daemon.room import Room
    from bentod.inventory.document import read  # only this option needs it

    inventory = read(args.inventory)
    return Room(look=lambda _: inventory)
