"""Why a service does not fit, in words: what it wants, who has what there is, how much is missing, what would help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bentod.plan.devices_attempt import Given, Taste, place_for
from bentod.plan.devices_room import UNIT, Gpus, Want, named_so, place_of
from bentod.plan.devices_whole import picked
from bentod.plan.grants import Lack, Needs
from bentod.plan.inventory import Device, GpuProcess, Inventory

TIMES = "\u00d7"
_GIB, _MIB = 1024**3, 1024**2


Owners = Sequence[Mapping[str, int]]
"""By position, which services have how much of a GPU (of `UNIT`), those of other daemons too."""


def owners_of(wants: Sequence[Want], given: Given) -> Owners:
    """Who has what."""
    found = [{owner: part for owner, (part, _) in others.items()} for others in given.room.gpus.claimed]
    for want in wants:
        for at in (at for places in given.at[want.service].values() for at in places):
            found[at][want.service] = found[at].get(want.service, 0) + (want.sizes[at] or (0, 0))[0]
    return found


def gpu_lack(want: Want, owners: Owners, inventory: Inventory, given: Given, taste: Taste) -> Lack:
    """What a service lacks of GPUs, `given` being what all that fit have."""
    key = "gpus" if want.needs.gpus else "gpu_memory"
    wanted = f"{want.service} wants {_amount(want.needs, want.workers)}"
    if none := _no_gpus(inventory, given.room.gpus):
        return Lack(want.service, key, f"{wanted}, {none[0]}", none[1])
    named = [device for device in given.room.gpus.devices if named_so(want.needs, device)]
    if want.needs.gpu_type is not None and not named:
        return _unknown_type(want, wanted, inventory, given.room.gpus)
    if not want.suits:
        return _too_small(want, wanted, named, inventory)
    fit = _fitting(want, given, taste)
    taken = _taken(want, owners, given) or [_there_are(_called(want.suits, want.needs))]
    parts = [wanted, *taken, *_states(inventory)]
    short = f"short by {_short(want.needs, want.workers - fit)}"
    message = f"{', '.join([*parts, short])}{_restricted(inventory)}"
    return Lack(want.service, key, message, _help(want, given, fit))


def _no_gpus(inventory: Inventory, gpus: Gpus) -> tuple[str, str] | None:
    """What is said where no GPU can be given to anybody, and what would help."""
    if inventory.gpus == "none":
        told = f" ({inventory.reason})" if inventory.reason else ""
        return f"and this host has no GPU{told}", "`gpus: 0` runs it on the CPU"
    if inventory.gpus == "failed":
        return f"and the GPUs' driver does not work: {inventory.reason}", "`nvidia-smi` should list the GPUs"
    if not inventory.devices:
        told = inventory.reason or "the driver lists none"
        return f"and there is no GPU to give: {told}", "`bentod inventory` shows what there is"
    if not gpus.devices:  # also where those that work are divided into instances that do not
        states = ", ".join(_states(inventory)) or "none of its GPUs can be given"
        return f"but {states}{_restricted(inventory)}", "`bentod inventory` shows what there is"
    return None


def _unknown_type(want: Want, wanted: str, inventory: Inventory, gpus: Gpus) -> Lack:
    counts = Counter(device.name for device in gpus.devices)
    there = ", ".join(f"{count} {TIMES} {name or 'a GPU without a name'}" for name, count in sorted(counts.items()))
    verb = "is" if sum(counts.values()) == 1 else "are"
    if any(named_so(want.needs, device) for device in inventory.devices):  # of those, none works
        message = f"{wanted}, {', '.join(_states(inventory))}; there {verb} {there}{_restricted(inventory)}"
        return Lack(want.service, "gpu_type", message, "`bentod inventory` shows what there is")
    message = f"{wanted}, no GPU here is called {want.needs.gpu_type}; there {verb} {there}{_restricted(inventory)}"
    return Lack(want.service, "gpu_type", message, "name one of these, or leave out `gpu_type`")


def _too_small(want: Want, wanted: str, named: Sequence[Device], inventory: Inventory) -> Lack:
    """None of those with the right name has enough memory; or all that do are MIG instances."""
    needed = want.needs.gpu_memory or 0
    largest = max(named, key=lambda device: device.memory)
    if needed > largest.memory:
        short = size(needed - largest.memory)
        what = f"the largest GPU that it may have ({largest.name}) has {size(largest.memory)}, short by {short}"
        hint = f"ask for at most `gpu_memory: {largest.memory // _MIB}MiB`"
        return Lack(want.service, "gpu_memory", f"{wanted}, {what}{_restricted(inventory)}", hint)
    what = "and there are only MIG instances, of which a process sees one at most"
    return Lack(want.service, "gpus", f"{wanted}, {what}{_restricted(inventory)}", "ask for `gpus: 1`")


def _fitting(want: Want, given: Given, taste: Taste) -> int:
    """How many workers would fit beside all others."""
    room = given.room.copy()
    for fit in range(want.workers):
        places: tuple[int, ...] = ()
        if want.whole:
            everything = dict.fromkeys(
                (kind for kind, suits in zip(room.gpus.kinds, want.sizes, strict=True) if suits), len(room.gpus.kinds)
            )
            places = picked(want.whole, everything, room, {})
        elif (at := place_for(want, fit, taste, room)) is not None:
            places = (at,)
        if not places:
            return fit
        for at in places:
            room.put(want, at)
    return want.workers


def _taken(want: Want, owners: Owners, given: Given) -> list[str]:
    """Who has something of the GPUs that would suit: strangers that are in the way, and services."""
    room, found = given.room, []
    suiting = [at for at, suits in enumerate(want.sizes) if suits]
    strange = [at for at in suiting if _in_the_way(want, given, at)]
    if strange:
        some = [process for at in strange for process in room.gpus.strangers[at]]
        verb = "is" if len(strange) == 1 else "are"
        told = processes(some)
        found.append(f"{len(strange)} of {_called(len(suiting), want.needs)} {verb} taken by {told}")
    having: Counter[str] = Counter()
    for at in suiting:
        having.update(owners[at])
    if having:
        total = sum(having.values()) / UNIT
        of = "" if strange else f" of {_called(len(suiting), want.needs)}"
        most = sorted(having.items(), key=lambda one: (-one[1], one[0]))
        who = listed([f"{name} ({number(has / UNIT)})" for name, has in most])
        found.append(f"{number(total)}{of} {'is' if total <= 1 else 'are'} given to {who}")
    return found


def _in_the_way(want: Want, given: Given, at: int) -> bool:
    """Whether a worker would fit there if no stranger had memory."""
    room, needed = given.room, want.sizes[at]
    if not room.gpus.strangers[at] or needed is None:
        return False
    theirs = sum(process.memory or 0 for process in room.gpus.strangers[at])
    return bool(want.whole) or needed[1] > room.gpus.devices[at].memory - theirs or not room.fits(want, at)


def processes(some: Sequence[GpuProcess]) -> str:
    """Whose they are that take GPUs; of many only some."""
    told = [
        f"process {one.pid}" + (f" ({', '.join(known)})" if (known := _known(one)) else "")
        for one in sorted({one.pid: one for one in some}.values(), key=lambda one: (-(one.memory or 0), one.pid))
    ]
    return listed(told)


def _known(process: GpuProcess) -> list[str]:
    return [*([process.name] if process.name else []), *([] if process.memory is None else [size(process.memory)])]


def _states(inventory: Inventory) -> list[str]:
    """GPUs that are there, and that nobody gets; together those that say the same."""
    words = {"failed": ("has failed", "have failed"), "out": ("is taken out", "are taken out")}
    alike: dict[tuple[str, str], list[str]] = {}
    for device in sorted((one for one in inventory.devices if one.state != "ok"), key=place_of):
        alike.setdefault((device.state, device.reason), []).append(device.label)
    return [
        f"GPU{'s' * (len(names) > 1)} {listed(names)} {words[state][len(names) > 1]}" + (f" ({why})" if why else "")
        for (state, why), names in alike.items()
    ]


def _help(want: Want, given: Given, fit: int) -> str:
    """One thing that would make it fit."""
    if fit:
        return f"{fit} worker{'s fit' if fit > 1 else ' fits'}: `workers: {fit}`, or `workers: auto`"
    strange = [at for at, suits in enumerate(want.sizes) if suits and _in_the_way(want, given, at)]
    if strange:
        return f"end process {given.room.gpus.strangers[strange[0]][0].pid}, or ask for less"
    if want.suits < len(given.room.gpus.devices) and want.needs.gpu_type is not None:
        return "ask for less, or leave out `gpu_type`"
    return "ask for less, here or where the others are asked for"


def _restricted(inventory: Inventory) -> str:
    return f"; {inventory.reason}" if inventory.gpus == "ok" and inventory.reason else ""


def _called(count: int, needs: Needs) -> str:
    """`2 GPUs called *A10*`."""
    named = f" called {needs.gpu_type}" if needs.gpu_type is not None else ""
    least = f" with at least {size(needs.gpu_memory)}" if needs.gpu_memory and (needs.gpus or 0) >= 1 else ""
    return f"{count} GPU{'' if count == 1 else 's'}{named}{least}"


def _there_are(what: str) -> str:
    return f"there {'is' if what.startswith('1 ') else 'are'} {what}"


def _amount(needs: Needs, workers: int) -> str:
    """Such as `2 GPUs`, or three times `6.0 GiB of GPU memory`."""
    many = f"{workers} {TIMES} " if workers > 1 else ""
    memory = needs.gpu_memory
    if not needs.gpus:
        return f"{many}{size(memory or 0)} of GPU memory"
    plural = "s" if needs.gpus > 1 else ""
    return f"{many}{number(needs.gpus)} GPU{plural}{f' with {size(memory)}' if memory else ''}"


def _short(needs: Needs, workers: int) -> str:
    if not needs.gpus:
        return size(workers * (needs.gpu_memory or 0))
    return number(workers * needs.gpus)


def number(value: float) -> str:
    """A number of GPUs or CPUs."""
    return f"{round(value, 3):g}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; of many only some."""
    most = 4
    if len(words) > most:
        return f"{', '.join(words[: most - 1])} and {len(words) - most + 1} others"
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def size(value: int) -> str:
    """Bytes as people count what is large."""
    return f"{value / _GIB:.1f} GiB" if value >= _GIB else f"{value / _MIB:.1f} MiB"
