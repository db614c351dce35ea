"""`models` and `build`: what needs more than one value to judge, and where their paths lead."""

import pytest

from tests.support.specs import BASE, laid_over, loaded, places, problems


@pytest.mark.parametrize(
    ("over", "place"),
    [
        ({"models": {"m": {"source": "w", "revision": "main"}}}, "models.m.revision conflict"),
        ({"models": {"m": {"source": "store://w", "include": ["a"]}}}, "models.m.include conflict"),
        ({"models": {"m": {"source": "store://w", "endpoint": "https://h"}}}, "models.m.endpoint conflict"),
        ({"build": {"cuda": "12", "conda": {"dependencies": ["numpy"]}}}, "build.cuda conflict"),
        ({"build": {"conda": {}}}, "build.conda missing-key"),
        ({"build": {"conda": {"channels": ["a"]}}}, "build.conda missing-key"),
        ({"build": {"conda": {"environment": "e.yml", "channels": ["a"]}}}, "build.conda.environment conflict"),
        ({"build": {"base_image": "a", "distro": "debian"}}, "build.distro conflict"),
        ({"build": {"base_image": "a", "cuda": "12"}}, "build.cuda conflict"),
        ({"build": {"requirements": "none.txt"}}, "build.requirements missing-file"),
        ({"build": {"lock": "none.lock"}}, "build.lock missing-file"),
        ({"build": {"lock": "../e.yml"}}, "build.lock outside-project"),
        ({"build": {"requirements": "link.txt"}}, "build.requirements outside-project"),
        ({"build": {"user": "0:4294967296"}}, "build.user wrong-value"),
        ({"build": {"run": [["-c", "x"]]}}, "build.run[0] wrong-value"),
        ({"services": {"s": {"init": {"a": "${models.m.path}"}}}}, "services.s.init.a unknown-reference"),
        ({"models": {"m": {"source": "w"}}, "version": "${models.m.path}"}, "version unknown-reference"),
    ],
)
def test_what_cannot_be_meant_is_one_problem(tmp_path, over, place):
    (tmp_path / "e.yml").write_text("a: 1\n")
    (tmp_path / "link.txt").symlink_to("/etc/hostname")
    found = problems(tmp_path, laid_over(BASE, over))
    assert [text.partition(" ")[2] for text in places(found)] == [place]


def test_paths_are_absolute_for_models_and_the_projects_for_the_image(tmp_path):
    (tmp_path / "r.txt").write_text("numpy\n")
    over = {
        "models": {name: {"source": source} for name, source in {"a": "w", "b": "../w", "c": "/w"}.items()},
        "build": {"requirements": "r.txt"},
    }
    spec = loaded(tmp_path, laid_over(BASE, over)).spec
    sources = [model.source for model in spec.models.values()]
    assert sources == [str(tmp_path / "w"), str(tmp_path.parent / "w"), "/w"]
    assert spec.build.requirements == "r.txt"


@pytest.mark.parametrize(
    "source", ["hf://gpt2", "hf://org/name.v1_x", "store://a", "store://a:1.0", "store://a:latest"]
)
def test_a_source_may_be(tmp_path, source):
    assert loaded(tmp_path, laid_over(BASE, {"models": {"m": {"source": source}}})).spec.models["m"].source == source


@pytest.mark.parametrize("text", ["a\nRUN x", "a\0", "a\u2028b", "a\x85b"])
@pytest.mark.parametrize(
    "over",
    [
        lambda text: {"models": {"m": {"source": text}}},
        lambda text: {"build": {"env": {"A": text}}},
        lambda text: {"build": {"labels": {"a": text}}},
        lambda text: {"build": {"run": [["a", text]]}},
        lambda text: {"build": {"packages": [text]}},
        lambda text: {"build": {"base_image": text}},
        lambda text: {"build": {"system_packages": [text]}},
        lambda text: {"build": {"include": [text]}},
        lambda text: {"build": {"conda": {"dependencies": [text]}}},
    ],
)
def test_control_characters_are_refused_in_all_that_reaches_an_image(tmp_path, over, text):
    assert problems(tmp_path, laid_over(BASE, over(text)))
