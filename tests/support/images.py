"""Image plans for tests."""

from dataclasses import replace

from bentod.plan.image import CondaPlan, ImagePlan

WHEEL = "bentod-0.1.0-py3-none-any.whl"
DIGEST = f"sha256:{'12' * 32}"
PLAIN = ImagePlan(
    name="hello",
    version="1.0.0",
    image="hello",
    python="3.12",
    distro="debian",
    wheel=WHEEL,
    labels={"dev.bentod.spec": DIGEST, "org.opencontainers.image.title": "hello"},
)
WITH_PACKAGES = replace(PLAIN, requirements=("numpy>=2",))
LOCKED = replace(PLAIN, requirements=(f"numpy==2.3.4 --hash=sha256:{'0' * 64}",), locked=True)
EVERYTHING = replace(
    LOCKED,
    base_digest=DIGEST,
    requirements=(*LOCKED.requirements, "tool @ git+https://example.com/tool@" + "a" * 40),
    index_url="https://pypi.example.com/simple",
    extra_index_urls=("https://more.example.com/simple",),
    system_packages=("ffmpeg", "g++"),
    run=(("python", "-c", "print('$HOME', \"`id`\", 'a\\\\b')"), ("nltk", "download", "--dir=/usr/share/nltk")),
    specs=("bentofile.yaml", "deploy/more files.yaml"),
    models=("bert", "tokenizer"),
    env={"GREETING": 'it\'s "$HOME" \\ `é` # ${x}', "LANG": "de_DE.UTF-8"},
    secrets=("netrc", "token", "pip.conf", "ca.pem"),
    user="1000:1000",
    labels={**PLAIN.labels, "team": "a b's"},
    start_s=120.5,
)
BASES = {
    "debian": {},
    "alpine": {"distro": "alpine"},
    "ubi": {"distro": "ubi"},
    "amazonlinux": {"distro": "amazonlinux"},
    "debian-cuda": {"cuda": "12.8.1"},
    "ubi-cuda": {"distro": "ubi", "cuda": "13.0.2"},
    "conda": {"conda": CondaPlan(channels=("conda-forge", "bioconda"), dependencies=("numpy>=2", "samtools"))},
    "conda-file": {"conda": CondaPlan(environment="environment.yml")},
    "base-image": {"base_image": "registry.example.com:5000/team/python:1", "python": ""},
}
KINDS = {"plain": PLAIN, "packages": WITH_PACKAGES, "locked": LOCKED, "everything": EVERYTHING}


def plans():
    """Every base with every kind of content, by name."""
    return {f"{base}-{kind}": replace(plan, **said) for base, said in BASES.items() for kind, plan in KINDS.items()}
