"""The Kubernetes manifests, against the fields of KubeRay's types: a field that they lack is refused.

The schemas of KubeRay's own resources are megabytes, and not packaged; what stands here are the names and kinds of the
fields of its ``ray.io/v1`` types and of the parts of pods that the manifests use.
"""

from pathlib import Path

import jsonschema
import pytest
import ray
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "cluster" / "kuberay"
TEXT, WHOLE, FLAG = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
ANY = {"type": "object"}


def record(required: str = "", **fields: dict) -> dict:
    """Fields and no others; the named ones must be there."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": fields,
        "required": required.split(),
    }


def rows(item: dict) -> dict:
    return {"type": "array", "items": item, "minItems": 1}


def one_of(*values: str) -> dict:
    return {"enum": list(values)}


QUANTITIES = {"type": "object", "additionalProperties": {"type": "string", "pattern": r"^\d+(\.\d+)?(m|Ki|Mi|Gi)?$"}}
RESOURCES = record("requests limits", requests=QUANTITIES, limits=QUANTITIES)
LOCKED = record(
    "allowPrivilegeEscalation capabilities",
    allowPrivilegeEscalation={"const": False},
    capabilities=record("drop", drop={"const": ["ALL"]}),
)
CONTAINER = record(
    "name image resources securityContext",
    name=TEXT,
    image=TEXT,
    ports=rows(record("containerPort name", containerPort=WHOLE, name=TEXT)),
    resources=RESOURCES,
    securityContext=LOCKED,
    volumeMounts=rows(record("name mountPath", name=TEXT, mountPath=TEXT)),
)
POD = record(
    "spec",
    spec=record(
        "containers serviceAccountName securityContext",
        serviceAccountName=TEXT,
        automountServiceAccountToken=FLAG,
        securityContext=record(
            "runAsNonRoot runAsUser seccompProfile",
            runAsNonRoot={"const": True},
            runAsUser={"type": "integer", "minimum": 1},
            fsGroup=WHOLE,
            seccompProfile=record("type", type={"const": "RuntimeDefault"}),
        ),
        tolerations=rows(record("key operator", key=TEXT, operator=one_of("Exists", "Equal"), effect=TEXT)),
        containers=rows(CONTAINER),
        volumes=rows(record("name emptyDir", name=TEXT, emptyDir=record("sizeLimit", medium=TEXT, sizeLimit=TEXT))),
    ),
)
CLUSTER = record(
    "rayVersion enableInTreeAutoscaling authOptions headGroupSpec workerGroupSpecs",
    rayVersion=TEXT,
    enableInTreeAutoscaling={"const": True},
    authOptions=record("mode", mode={"const": "token"}, secretName=TEXT),
    autoscalerOptions=record(
        "version idleTimeoutSeconds",
        version=one_of("v1", "v2"),
        resources=RESOURCES,
        image=TEXT,
        env=rows(ANY),
        securityContext=LOCKED,
        idleTimeoutSeconds=WHOLE,
        upscalingMode=one_of("Default", "Aggressive", "Conservative"),
    ),
    headGroupSpec=record(
        "serviceType rayStartParams template",
        serviceType=one_of("ClusterIP"),
        rayStartParams=TEXTS,
        template=POD,
    ),
    workerGroupSpecs=rows(
        record(
            "groupName minReplicas maxReplicas rayStartParams template",
            groupName=TEXT,
            replicas=WHOLE,
            minReplicas=WHOLE,
            maxReplicas=WHOLE,
            numOfHosts=WHOLE,
            rayStartParams=TEXTS,
            template=POD,
        )
    ),
)
JOB = record(
    "entrypoint submissionMode shutdownAfterJobFinishes rayClusterSpec",
    entrypoint=TEXT,
    submissionMode=one_of("K8sJobMode", "HTTPMode", "SidecarMode"),
    submitterConfig=record(backoffLimit=WHOLE),
    backoffLimit=WHOLE,
    activeDeadlineSeconds={"type": "integer", "minimum": 1},
    shutdownAfterJobFinishes={"const": True},
    ttlSecondsAfterFinished=WHOLE,
    runtimeEnvYAML=TEXT,
    entrypointNumCpus={"type": "number"},
    rayClusterSpec=CLUSTER,
)


def manifest(kind: str, spec: dict) -> dict:
    return record(
        "apiVersion kind metadata spec",
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata={**record(name=TEXT, generateName=TEXT), "minProperties": 1},
        spec=spec,
    )


SCHEMAS = {"raycluster.yaml": manifest("RayCluster", CLUSTER), "rayjob.yaml": manifest("RayJob", JOB)}


def read(name: str) -> dict:
    return yaml.safe_load((FOLDER / name).read_text())


def cluster_of(name: str) -> dict:
    spec = read(name)["spec"]
    return spec.get("rayClusterSpec", spec)


def pods(cluster: dict) -> list[dict]:
    return [cluster["headGroupSpec"]["template"]["spec"]] + [
        group["template"]["spec"] for group in cluster["workerGroupSpecs"]
    ]


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_has_the_fields_of_its_kind_and_no_others(name):
    jsonschema.validate(read(name), SCHEMAS[name])


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("field", ["workerGroupSpec", "autoscalerOption", "shutdownAfterJobFinish"])
def test_a_misspelt_field_would_be_refused(name, field):
    content = read(name)
    content["spec"][field] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, SCHEMAS[name])


def test_both_describe_the_same_cluster():
    assert cluster_of("raycluster.yaml") == cluster_of("rayjob.yaml")


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_runs_the_ray_of_the_lock(name):
    assert cluster_of(name)["rayVersion"] == ray.__version__


@pytest.mark.parametrize("name", SCHEMAS)
def test_groups_scale_from_none_and_gpus_are_asked_for(name):
    cluster = cluster_of(name)
    groups = {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
    assert set(groups) == {"cpu", "gpu"}
    for group_name, group in groups.items():
        assert group["minReplicas"] == group["replicas"] == 0 < group["maxReplicas"]
        assert f"xlstance-pool={group_name}" in group["rayStartParams"]["labels"]
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert ("nvidia.com/gpu" in limits) == (group_name == "gpu")
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.parametrize("name", SCHEMAS)
def test_ray_s_container_comes_first_and_volumes_are_there(name):
    for pod in pods(cluster_of(name)):
        assert pod["containers"][0]["name"].startswith("ray-")
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        mounted = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])}
        assert mounted == volumes


@pytest.mark.parametrize("name", SCHEMAS)
def test_memory_is_not_promised_twice(name):
    """The object store lies in memory: a limit above the request would let a node be killed for it."""
    for pod in pods(cluster_of(name)):
        resources = pod["containers"][0]["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]


def test_the_image_holds_the_lock_the_code_and_no_secret():
    dockerfile = (FOLDER.parent / "Dockerfile").read_text()
    assert "requirements/${LOCK}.txt" in dockerfile
    assert "USER 1000" in dockerfile
    assert "RAY_AUTH_MODE=token" in dockerfile
    ignored = (FOLDER.parent / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignored
    copied = {word for line in dockerfile.splitlines() if line.startswith("COPY") for word in line.split()[1:-1]}
    assert copied <= {line.removeprefix("!") for line in ignored}
