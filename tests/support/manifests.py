"""What manifests shall say, built as trees, without a look at any template."""

import hashlib
import json
import math

SELECTOR = ("app.kubernetes.io/name", "app.kubernetes.io/instance")
HUB = {"HF_HOME": "/var/tmp/huggingface", "BENTOD_MODELS": "/var/tmp/bentod-models"}


def compose_tree(made, host):
    """The file of Docker Compose, as it is before Compose replaces variables."""
    specs = [word for path in made.specs for word in ("-f", f"/app/{path}".replace("$", "$$"))]
    service = {
        "image": made.image,
        "ports": [f"{host.port}:3000"],
        "healthcheck": {
            "test": ["CMD", "bentod", "health", *specs],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            "start_period": f"{math.ceil(made.start_s)}s",
        },
        "stop_grace_period": f"{math.ceil(made.stop_s + 5)}s",
        "restart": "unless-stopped",
        "read_only": True,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
    environ = {
        one.name: ("${" + one.name + ":" * one.filled + "?the spec needs it}") if one.required else None
        for one in made.variables
    }
    environ |= {name: value.replace("$", "$$") for name, value in made.settings.items()}
    environ |= HUB if made.models == "fetch" else {}
    service |= {"environment": environ} if environ else {}
    if made.models == "mount":
        source = host.models.replace("$", "$$")
        bind = {"type": "bind", "source": source, "target": "/models", "read_only": True}
        service["volumes"] = [{**bind, "bind": {"create_host_path": False}}]
    if made.models == "fetch":
        service["volumes"] = [{"type": "volume", "source": "models", "target": "/var/tmp"}]
    resources = {}
    if made.room.most_cpus_m is not None:
        resources.setdefault("limits", {})["cpus"] = f"{made.room.most_cpus_m / 1000:g}"
    if made.room.memory is not None:
        resources.setdefault("limits", {})["memory"] = f"{made.room.memory}b"
    if made.room.gpus:
        device = {"driver": "nvidia", "count": made.room.gpus, "capabilities": ["gpu"]}
        resources["reservations"] = {"devices": [device]}
    service |= {"deploy": {"resources": resources}} if resources else {}
    tree = {"name": made.name, "services": {made.name: service}}
    return tree | ({"volumes": {"models": None}} if made.models == "fetch" else {})


def kubernetes_trees(made, cluster, version_label, annotations):
    """The manifests by file. What a version becomes as a label, and labels as annotations, is told."""
    scales = cluster.most > cluster.replicas
    port = cluster.port
    service = made.name if made.name[0].isalpha() else f"app-{made.name}"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": made.name}
    chosen = dict.fromkeys(SELECTOR, made.name)
    labels = {**chosen, "app.kubernetes.io/version": version_label, "app.kubernetes.io/managed-by": "bentod"}

    def resource(api, kind, name=made.name, **more):
        return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": labels}, **more}

    trees = {}
    if cluster.specs:
        data = {f"spec-{index}": text for index, text in enumerate(cluster.specs.values())}
        trees["config-map-spec.yaml"] = resource("v1", "ConfigMap", f"{made.name}-spec", data=data)
    if made.settings:
        trees["config-map-env.yaml"] = resource("v1", "ConfigMap", f"{made.name}-env", data=dict(made.settings))
    trees["deployment.yaml"] = deployment_tree(made, cluster, resource("apps/v1", "Deployment"), annotations)
    ports = [{"name": "http", "port": port, "targetPort": "http", "protocol": "TCP"}]
    spec = {"type": "ClusterIP", "selector": chosen, "ports": ports}
    trees["service.yaml"] = resource("v1", "Service", service, spec=spec)
    if scales and not cluster.keda:
        cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
        metrics = [{"type": "Resource", "resource": cpu}]
        bounds = {"minReplicas": cluster.replicas, "maxReplicas": cluster.most}
        spec = {"scaleTargetRef": target, **bounds, "metrics": metrics}
        trees["horizontal-pod-autoscaler.yaml"] = resource("autoscaling/v2", "HorizontalPodAutoscaler", spec=spec)
    if scales and cluster.keda:
        triggers = [{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "80"}}]
        bounds = {"minReplicaCount": cluster.replicas, "maxReplicaCount": cluster.most}
        spec = {"scaleTargetRef": target, **bounds, "triggers": triggers}
        trees["scaled-object.yaml"] = resource("keda.sh/v1alpha1", "ScaledObject", spec=spec)
    spec = {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": {"matchLabels": chosen}}
    trees["pod-disruption-budget.yaml"] = resource("policy/v1", "PodDisruptionBudget", spec=spec)
    spec = {
        "podSelector": {"matchLabels": chosen},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": 3000}]}],
        "egress": [{}] if cluster.egress or made.models == "fetch" else [],
    }
    trees["network-policy.yaml"] = resource("networking.k8s.io/v1", "NetworkPolicy", spec=spec)
    if cluster.gateway:
        *namespace, gateway = cluster.gateway.split("/")
        parent = {"name": gateway, **({"namespace": namespace[0]} if namespace else {})}
        matches = [{"path": {"type": "PathPrefix", "value": made.path_prefix or "/"}}]
        rules = [{"matches": matches, "backendRefs": [{"name": service, "port": port}]}]
        hosts = {"hostnames": list(cluster.hostnames)} if cluster.hostnames else {}
        spec = {"parentRefs": [parent], **hosts, "rules": rules}
        trees["http-route.yaml"] = resource("gateway.networking.k8s.io/v1", "HTTPRoute", spec=spec)
    api = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return trees | {"kustomization.yaml": {**api, "resources": list(trees)}}


def deployment_tree(made, cluster, head, annotations):
    chosen = dict.fromkeys(SELECTOR, made.name)
    described = {"bentod.dev/description": made.description} if made.description else {}
    head["metadata"] = {
        **head["metadata"],
        "annotations": {"bentod.dev/version": made.version, **described, **annotations},
    }
    template = {"labels": head["metadata"]["labels"]}
    if made.settings or cluster.specs:
        said = json.dumps([sorted(made.settings.items()), list(cluster.specs.items())])
        template["annotations"] = {"bentod.dev/config": "sha256:" + hashlib.sha256(said.encode()).hexdigest()}
    return {
        **head,
        "spec": {
            **({"replicas": cluster.replicas} if cluster.most == cluster.replicas else {}),
            "revisionHistoryLimit": 5,
            "progressDeadlineSeconds": math.ceil(max(600, 2 * made.start_s)),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": chosen},
            "template": {"metadata": template, "spec": pod_tree(made, cluster)},
        },
    }


def pod_tree(made, cluster):
    same = {"labelSelector": {"matchLabels": dict.fromkeys(SELECTOR, made.name)}}
    gpu = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": math.ceil(made.stop_s + 10),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": made.user,
            "runAsGroup": made.group,
            "fsGroup": made.group,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", **same}
            for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        ],
        **({"tolerations": gpu} if made.room.gpus else {}),
        "containers": [container_tree(made, cluster)],
        "volumes": volume_trees(made, cluster),
    }


def container_tree(made, cluster):
    secret = cluster.secret or f"{made.name}-env"
    environ = [
        {
            "name": one.name,
            "valueFrom": {"secretKeyRef": {"name": secret, "key": one.name, "optional": not one.required}},
        }
        for one in made.variables
    ]
    environ += [{"name": name, "value": value} for name, value in HUB.items()] if made.models == "fetch" else []
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]
    for index, path in enumerate(cluster.specs):
        mounts.append({"name": "spec", "mountPath": f"/app/{path}", "subPath": f"spec-{index}", "readOnly": True})
    mounts += [{"name": "models", "mountPath": "/models", "readOnly": True}] if made.models == "mount" else []
    mounts += [{"name": "models", "mountPath": "/var/tmp"}] if made.models == "fetch" else []
    memory = {} if made.room.memory is None else {"memory": quantity(made.room.memory)}
    limits = memory | ({"nvidia.com/gpu": str(made.room.gpus)} if made.room.gpus else {})
    least = {"memory": quantity(max(1024**3, made.room.least_memory or 0))}
    millis = 1000 if made.room.cpus_m is None else made.room.cpus_m
    cpu = str(millis // 1000) if millis % 1000 == 0 else f"{millis}m"

    def probe(path, period, timeout, tries):
        asked = {"path": path, "port": 3000}
        return {"httpGet": asked, "periodSeconds": period, "timeoutSeconds": timeout, "failureThreshold": tries}

    return {
        "name": "bentod",
        "image": made.image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": 3000, "protocol": "TCP"}],
        **({"envFrom": [{"configMapRef": {"name": f"{made.name}-env"}}]} if made.settings else {}),
        **({"env": environ} if environ else {}),
        "startupProbe": probe("/readyz", 5, 3, math.ceil(made.start_s / 5)),
        "readinessProbe": probe("/readyz", 5, 3, 2),
        "livenessProbe": probe("/livez", 10, 5, 3),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        "resources": {"requests": {"cpu": cpu, **least, **memory}, **({"limits": limits} if limits else {})},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def volume_trees(made, cluster):
    volumes = [{"name": "tmp", "emptyDir": {}}]
    volumes += [{"name": "spec", "configMap": {"name": f"{made.name}-spec"}}] if cluster.specs else []
    if made.models == "mount":
        claim = {"claimName": cluster.claim or f"{made.name}-models", "readOnly": True}
        volumes.append({"name": "models", "persistentVolumeClaim": claim})
    elif made.models == "fetch" and cluster.claim:
        volumes.append({"name": "models", "persistentVolumeClaim": {"claimName": cluster.claim}})
    elif made.models == "fetch":
        volumes.append({"name": "models", "emptyDir": {}})
    return volumes


def quantity(count):
    for power, unit in ((4, "Ti"), (3, "Gi"), (2, "Mi"), (1, "Ki")):
        if count % 1024**power == 0:
            return f"{count // 1024**power}{unit}"
    return str(count)
