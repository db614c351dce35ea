"""The manifests: golden files, and what validators make of them. `UPDATE_CASES=1` rewrites the files."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from bentod.render.cluster import Cluster
from bentod.render.kubernetes import cpus, kubernetes, size
from bentod.render.names import as_annotations, label_value
from bentod.render.recipes import Unwritable
from tests.support.deployments import CLUSTERS, FETCH, GPU, MADE, PLAIN, SPECS, of_example
from tests.support.manifests import kubernetes_trees
from tests.support.yaml_tree import tree

CASES = Path(__file__).parents[1] / "cases" / "kubernetes"
VERSIONS = ("1.28", "1.31", "1.37")
CUSTOM = {"http-route.yaml", "scaled-object.yaml", "kustomization.yaml"}  # no version of Kubernetes describes these


def rendered(name):
    return kubernetes(MADE[name], CLUSTERS.get(name, Cluster()))


@pytest.mark.parametrize("name", MADE)
def test_golden(name):
    text = "---\n".join(f"# {file}\n{text}" for file, text in rendered(name).items())
    path = CASES / f"{name}.yaml"
    if os.environ.get("UPDATE_CASES"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*MADE, *SPECS])
def test_every_example_is_the_intended_tree(name):
    made, cluster = (MADE[name], CLUSTERS.get(name, Cluster())) if name in MADE else (of_example(name), Cluster())
    found = {file: tree(text) for file, text in kubernetes(made, cluster).items()}
    assert found == kubernetes_trees(made, cluster, label_value(made.version), as_annotations(made.labels))
    assert "\n\n" not in "".join(kubernetes(made, replace(cluster, specs={})).values())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [*MADE, *SPECS])
def test_every_version_of_kubernetes_takes_them(name, version):
    texts = rendered(name) if name in MADE else kubernetes(of_example(name), Cluster())
    for file in texts.keys() - CUSTOM:
        kubernetes_validate.validate(yaml.safe_load(texts[file]), version, strict=True)


def test_the_validator_would_see_a_mistake():
    wrong = rendered("plain")["deployment.yaml"].replace("maxSurge", "maxSurges")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(yaml.safe_load(wrong), VERSIONS[0], strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("name", MADE)
def test_the_folder_is_a_kustomization(tmp_path, name):
    texts = rendered(name)
    for file, text in texts.items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    done = subprocess.run(["kubectl", "kustomize", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    found = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}
    trees = [yaml.safe_load(text) for file, text in texts.items() if file != "kustomization.yaml"]
    assert found == {(one["kind"], one["metadata"]["name"]): one for one in trees}


def pod(made=PLAIN, cluster=Cluster()):  # noqa: B008 - frozen
    return yaml.safe_load(kubernetes(made, cluster)["deployment.yaml"])["spec"]["template"]["spec"]


def test_a_pod_has_time_to_drain_and_to_start():
    found = pod(replace(PLAIN, start_s=661.0, stop_s=60.0))
    assert found["terminationGracePeriodSeconds"] == 70  # 5 s before SIGTERM, and 5 s more
    [container] = found["containers"]
    probe = container["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] >= 661


def test_other_contents_of_config_maps_are_other_pods():
    def digest(**settings):
        made = yaml.safe_load(kubernetes(replace(PLAIN, settings=settings), Cluster())["deployment.yaml"])
        return made["spec"]["template"]["metadata"]["annotations"]["bentod.dev/config"]

    assert digest(A="1") == digest(A="1")
    assert digest(A="1") != digest(A="2")


def test_nothing_scales_if_there_is_nothing_to_choose():
    assert "replicas" not in yaml.safe_load(rendered("plain")["deployment.yaml"])["spec"]
    fixed = kubernetes(PLAIN, Cluster(replicas=2, most=2, keda=True))
    assert yaml.safe_load(fixed["deployment.yaml"])["spec"]["replicas"] == 2
    assert not {"scaled-object.yaml", "horizontal-pod-autoscaler.yaml"} & fixed.keys()


def test_pods_reach_nothing_unless_they_fetch_or_it_is_said():
    def egress(made, **said):
        return yaml.safe_load(kubernetes(made, Cluster(**said))["network-policy.yaml"])["spec"]["egress"]

    assert (egress(PLAIN), egress(GPU), egress(FETCH), egress(PLAIN, egress=True)) == ([], [], [{}], [{}])


BAD = {
    "no pod": Cluster(replicas=0),
    "fewer than the least": Cluster(replicas=3, most=2),
    "too many": Cluster(most=10_001),
    "no port": Cluster(port=0),
    "secret": Cluster(secret="A"),
    "secret with a line": Cluster(secret="a\nb"),
    "claim": Cluster(claim="a_b"),
    "claim for nothing": Cluster(claim="weights"),
    "gateway": Cluster(gateway="a/b/c"),
    "gateway's namespace": Cluster(gateway="a.b/c"),
    "host": Cluster(gateway="a", hostnames=("a b",)),
    "host with a star within": Cluster(gateway="a", hostnames=("a.*.b",)),
    "hosts without a gateway": Cluster(hostnames=("a",)),
    "file outside": Cluster(specs={"../a.yaml": ""}),
    "file from the top": Cluster(specs={"/a.yaml": ""}),
    "file with a colon": Cluster(specs={"a:b.yaml": ""}),
    "file with a line": Cluster(specs={"a\nb.yaml": ""}),
    "large spec": Cluster(specs={"a.yaml": "x" * 1024 * 1024}),
}


@pytest.mark.parametrize("cluster", BAD.values(), ids=BAD)
def test_what_no_cluster_takes_is_refused(cluster):
    with pytest.raises(Unwritable):
        kubernetes(PLAIN, cluster)


@pytest.mark.parametrize(
    "made",
    [
        replace(PLAIN, user=0),
        replace(PLAIN, settings={"A": "x" * 1024 * 1024}),
        replace(PLAIN, description="x" * 256 * 1024),
        replace(PLAIN, labels={"a": "é" * 128 * 1024}),
    ],
    ids=["root", "large settings", "large description", "large labels"],
)
def test_what_no_pod_can_be_is_refused(made):
    with pytest.raises(Unwritable):
        kubernetes(made, Cluster())


def test_quantities():
    assert [cpus(count) for count in (1, 500, 1000, 2500, 8000)] == ["1m", "500m", "1", "2500m", "8"]
    counts = (1, 1000, 1024, 1536 * 1024, 3 * 1024**3, 1024**4)
    assert [size(count) for count in counts] == ["1", "1000", "1Ki", "1536Ki", "3Gi", "1Ti"]
