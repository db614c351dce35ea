"""Deployments of the examples, and of specs that need all that manifests can say."""

from pathlib import Path

from bentod.render.cluster import Cluster
from bentod.render.compose import Host
from bentod.render.deployment import Deployment, Wishes, deployment
from bentod.render.room import Room
from bentod.spec.load import load
from bentod.spec.variables import Variable

ROOT = Path(__file__).parents[2]
SPECS = {path.parent.name: path for path in sorted((ROOT / "specs").glob("*/bentofile.yaml"))}
SPECS["tour"] = ROOT / "bentofile.example.yaml"

PLAIN = Deployment(name="app", version="1.0", image="app:1.0")
GPU = Deployment(
    name="3d-model",
    version="1.0+cu12",
    image=f"registry.example:5000/team/model@sha256:{'0' * 64}",
    description='Two lines,\nand "more": 50 % of $5 # ü',
    labels={"org.example/team": "vision", "kubernetes.io/x": "no"},
    variables=(Variable("FILLED", True, True), Variable("LEVEL", False), Variable("TOKEN", True)),
    settings={"LOG": "a$b ${C} 'd'", "NUMBER": "1", "YES": "yes"},
    user=1000,
    group=50,
    models="mount",
    room=Room(2, 2500, 2500, 3 * 1024**3, 3 * 1024**3),
    path_prefix="/v1",
    start_s=660.5,
    stop_s=179.2,
)
FETCH = Deployment(
    name="fetch", version="", image="fetch:latest", variables=(Variable("HF_TOKEN", False),), models="fetch", hub=True
)
PROMISED = Deployment(
    name="promised", version="2", image="promised:2", room=Room(1, 3000, 4000, 9 * 1024**3, 9 * 1024**3)
)
HALF = Deployment(name="half", version="2", image="half:2", room=Room(0, 2500, None, None, 5 * 1024**3))
MADE = {"plain": PLAIN, "gpu-mounted": GPU, "fetched": FETCH, "promised": PROMISED, "half-promised": HALF}
HOSTS = {"gpu-mounted": Host(port=8080, models="../my models/$x")}
CLUSTERS = {
    "gpu-mounted": Cluster(
        replicas=3,
        most=3,
        port=8000,
        secret="of-mine",
        claim="weights",
        specs={"bentofile.yaml": "bentod: 1\n\nname: three\n  # indented\n", "more/b é.toml": "a = '\t'"},
        gateway="infra/public",
        hostnames=("a.example.org", "*.b.example.org"),
    ),
    "fetched": Cluster(replicas=1, most=4, keda=True, gateway="public"),
}


def of_example(name):
    """What the example's spec deploys, and what it was loaded from."""
    loaded = load([SPECS[name]], {})
    image = f"{loaded.spec.name}:{loaded.spec.version}"
    return deployment(loaded.spec, loaded.as_written, Wishes(image=image, kept=loaded.env_file_values.keys()))
