"""No value of a spec, or of the command line, changes what a manifest or a compose file says besides that value."""

import json
import re
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.errors import BentodError
from bentod.render.cluster import Cluster
from bentod.render.compose import Host, compose
from bentod.render.deployment import Wishes, deployment
from bentod.render.kubernetes import kubernetes
from bentod.render.names import as_annotations, label_value
from bentod.render.recipes import Unwritable
from bentod.render.room import Asked
from bentod.spec.model import Spec
from tests.support.manifests import compose_tree, kubernetes_trees
from tests.support.yaml_tree import tree

AT_ONCE, BITS = 5, 19
CHARS = "\"'\\%$`{}[]#&*!|@:;,?=~ \n\r\t\0-.0123<éx\x85\u2028\u2029\ufeff\x7f\x1b🍱\ud7ff\ue000\uffff\U0010ffff"
WORDS = [
    "\n  x: y",
    "---\n",
    "${VAR}",
    "{{ x }}",
    "{% if %}",
    "yes",
    "null",
    "0x1f",
    "1e3",
    ": ",
    " #",
    "\\u0000",
    "a\n",
]
STANDS_FOR = {0xE100 + index: word for index, word in enumerate(WORDS)}
"""One letter for a word, since a text of letters is drawn much faster than a list."""
TEXTS = st.one_of(st.text(CHARS + "".join(map(chr, STANDS_FOR)), max_size=18 * AT_ONCE), st.text(max_size=18 * AT_ONCE))
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
ANNOTATION = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]")


@lru_cache(maxsize=5000)
def read(text):
    return tree(text)


def spec_of(one, two, three, bits):
    """A spec with such strings wherever one may stand, and what of it was written."""
    line, other = CONTROLS.sub(" ", one), CONTROLS.sub(" ", two)
    prose = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", three)
    labels = {three: line, "a.example/b": other, f"deployment.kubernetes.io/{line}": "1", "plain": prose.split("\n")[0]}
    build = {"models": ("bake", "mount", "fetch")[bits % 3]}
    said = {
        "bentod": 1,
        "name": "3d" if bits & 4 else "app",
        "version": line[:128] if bits & 3 == 3 else "1.0+cpu",
        "description": prose,
        "labels": {key: CONTROLS.sub(" ", value) for key, value in labels.items()},
        "apis": {"a": {"service": "s"}},
        "models": {"m": {"source": "hf://org/m" if bits & 8 else "/m"}} if bits & 16 else {},
        "build": {**build, **({"cuda": "12"} if bits & 32 else {}), **({"user": "1000"} if bits & 64 else {})},
    }
    as_written = {
        "description": prose.replace("$", "$$"),
        "labels": {key: value.replace("$", "$$") for key, value in said["labels"].items()},
        "env": {"A": "${NEEDED}${FILLED:?why}", "B": "${OPTIONAL:-x}$$"} if bits & 128 else {},
    }
    return Spec.model_validate(said), as_written


def wishes_of(one, two, three, bits):
    wishes = Wishes(
        image="app:1",
        settings={"LOG": one, "X": two} if bits & 256 else {},
        specs=(two, one) if bits & 128 else (),
        room=Asked(
            gpus=2 if bits & 512 else None,
            cpus_m=(None, 500, 2000, 1)[bits >> 10 & 3],
            memory=(None, 1, 1 << 30, 3 << 20)[bits >> 12 & 3],
        ),
    )
    specs = {f"a{CONTROLS.sub('', one).replace(':', '')}.yaml": three, "b.toml": f"{two}\n"} if bits & 1 << 14 else {}
    cluster = Cluster(
        replicas=1 + (bits >> 15 & 1) * 9,
        port=8080,
        specs=specs,
        keda=bool(bits & 1 << 16),
        gateway="infra/gw" if bits & 1 << 17 else "",
        hostnames=("*.a.example",) if bits & 1 << 17 and bits & 2 else (),
        egress=bool(bits & 1 << 18),
    )
    return wishes, cluster


@pytest.mark.parametrize("half", [0, 1])  # that run beside each other where tests do
@settings(max_examples=5000 // AT_ONCE)
@given(TEXTS, st.integers(0, (1 << BITS * AT_ONCE) - 1))
def test_every_file_is_the_intended_tree(half, text, bits):
    """10,000 specs: to draw one takes as long as to judge it, so a text is cut into the strings of some."""
    for index in range(AT_ONCE):
        strings = [text[number :: 3 * AT_ONCE].translate(STANDS_FOR) for number in range(3 * index, 3 * index + 3)]
        judge(*strings, bits >> BITS * index & ((1 << BITS) - 1))


def judge(one, two, three, bits):
    spec, as_written = spec_of(one, two, three, bits)
    wishes, cluster = wishes_of(one, two, three, bits)
    made = deployment(spec, as_written, wishes)
    assert (made.version, made.description, made.labels) == (spec.version, spec.description, spec.labels)
    host = Host(models=CONTROLS.sub("", one) or "m")
    assert read(compose(made, host)) == compose_tree(made, host)
    label, annotations = label_value(spec.version), as_annotations(spec.labels)
    assert LABEL_VALUE.fullmatch(label)
    assert len(label) <= 63
    assert all(ANNOTATION.fullmatch(key) for key in annotations)
    rest = json.loads(annotations.get("bentod.dev/labels", "{}"))
    assert {**{key: value for key, value in annotations.items() if key != "bentod.dev/labels"}, **rest} == spec.labels
    texts = kubernetes(made, cluster)
    assert {name: read(text) for name, text in texts.items()} == kubernetes_trees(made, cluster, label, annotations)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
@pytest.mark.parametrize("where", ["version", "description", "setting", "spec", "label", "key", "folder"])
def test_half_a_character_is_refused(where, text):
    spec, as_written = spec_of("", "", "", 0)
    made = deployment(spec, as_written, Wishes(image="app:1"))
    from dataclasses import replace

    changed = {
        "version": lambda: kubernetes(replace(made, version=text), Cluster()),
        "description": lambda: kubernetes(replace(made, description=text), Cluster()),
        "setting": lambda: compose(replace(made, settings={"A": text}), Host()),
        "spec": lambda: kubernetes(made, Cluster(specs={"a.yaml": f"a\n{text}\n"})),
        "label": lambda: kubernetes(replace(made, labels={"a": text}), Cluster()),
        "key": lambda: kubernetes(replace(made, labels={text: "a"}), Cluster()),
        "folder": lambda: compose(replace(made, models="mount"), Host(models=text)),
    }
    with pytest.raises(Unwritable, match="half of a character"):
        changed[where]()


@pytest.mark.parametrize(
    "image", ["", " ", "a b", "a\nb", "a\n", "-x", "A", "a:", "a@sha256:0", "a:b:c", "a" * 600, "$x", "a/"]
)
def test_an_image_that_is_none_is_refused(image):
    spec, as_written = spec_of("", "", "", 0)
    with pytest.raises(BentodError, match="no reference of an image"):
        deployment(spec, as_written, Wishes(image=image))
