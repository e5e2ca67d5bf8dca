"""The optional parts: each renders on the smallest overlay, and changes what it says and nothing else."""

import os
import shutil
import sys
from importlib import util
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "hack"))

from manifests.network import Endpoint, reachable  # noqa: E402  # see above
from manifests.render import Rendering, render  # noqa: E402  # see above

from manifests import schema  # noqa: E402  # the path comes first

OURS = ("external-secrets", "gateway", "gpu", "keda", "knative", "monitoring", "trainer")
#: What Knative Serving's webhook, or KServe's for this mode, refuses unless features of it are switched on.
REFUSED_BY_KNATIVE = {
    "deploymentStrategy",
    "securityContext",
    "terminationGracePeriodSeconds",
    "topologySpreadConstraints",
}

Objects = dict[tuple[str, str], dict]


def overlay(folder: Path, *components: str) -> Rendering:
    """The base, the training Job and some components."""
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl on the PATH")
    place = os.path.relpath(ROOT / "kustomize", folder)
    written = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "slipway",
        "resources": [f"{place}/base"],
        "components": [f"{place}/components/{name}" for name in ("training-job", *components)],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(written))
    return render(folder)


def rendered(folder: Path, *components: str) -> Objects:
    """What such an overlay applies, by kind and name."""
    return {(each["kind"], each["metadata"]["name"]): each for each in overlay(folder, *components).documents}


@pytest.mark.parametrize("component", OURS)
def test_what_a_component_renders_is_what_the_definitions_take(component, tmp_path):
    folder = os.environ.get("SLIPWAY_CRDS")
    if not folder:
        pytest.skip("SLIPWAY_CRDS names no folder of CustomResourceDefinitions")
    found = schema.check(overlay(tmp_path, component), Path(folder))
    # The folder need not have the definitions of every operator.
    assert [each for each in found if each.rule != schema.MISSING] == []


@pytest.mark.parametrize("component", OURS)
def test_a_component_leaves_what_it_does_not_speak_of(component, tmp_path):
    (tmp_path / "plain").mkdir()
    plain, changed = rendered(tmp_path / "plain"), rendered(tmp_path, component)
    assert set(plain) <= set(changed)
    touched = {kind for kind, name in plain if changed[kind, name] != plain[kind, name]}
    added = {kind for kind, _ in set(changed) - set(plain)}
    assert (touched, added) == {
        "external-secrets": (set(), {"ExternalSecret"}),
        "gateway": (set(), {"HTTPRoute", "GRPCRoute"}),
        "gpu": ({"Job"}, set()),
        "keda": ({"InferenceService"}, set()),
        "knative": ({"InferenceService", "ServingRuntime"}, {"NetworkPolicy"}),
        "monitoring": (set(), {"ConfigMap", "PodMonitor", "PrometheusRule"}),
        "trainer": ({"Job"}, {"NetworkPolicy", "Role", "RoleBinding", "TrainingRuntime"}),
    }[component]


def test_keda_asks_for_the_series_that_the_pod_monitor_labels(tmp_path):
    found = rendered(tmp_path, "monitoring", "keda")
    service = found["InferenceService", "digits"]
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "keda"
    predictor = service["spec"]["predictor"]
    assert "scaleMetric" not in predictor and "scaleTarget" not in predictor
    external = predictor["autoScaling"]["metrics"][0]["external"]
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    assert (
        f'slipway_requests_in_flight{{namespace="{namespace}",inferenceservice="{name}"}}'
        in external["metric"]["query"]
    )
    # KServe reads `value` whatever the type says, and fails without it.
    assert external["target"] == {"type": "Value", "value": "8"}
    endpoint = found["PodMonitor", "predictor"]["spec"]["podMetricsEndpoints"][0]
    assert [each["targetLabel"] for each in endpoint["relabelings"]] == ["inferenceservice"]
    ports = found["ServingRuntime", "slipway-onnx"]["spec"]["containers"][0]["ports"]
    assert endpoint["port"] in [port["name"] for port in ports]


def test_an_overlay_replaces_the_address_of_prometheus_by_the_path_that_the_docs_name(tmp_path):
    told = (ROOT / "docs/monitoring.md").read_text()
    path = next(line.split()[-1] for line in told.splitlines() if "path: /spec/predictor/autoScaling" in line)
    value = rendered(tmp_path, "keda")["InferenceService", "digits"]
    for key in path.strip("/").split("/"):
        value = value[int(key) if isinstance(value, list) else key]
    assert value.startswith("http://") and value in told


def test_knative_gets_one_port_zero_replicas_and_nothing_that_it_refuses(tmp_path):
    found = rendered(tmp_path, "knative")
    service = found["InferenceService", "digits"]
    annotations = service["metadata"]["annotations"]
    assert annotations["serving.kserve.io/deploymentMode"] == "Knative"
    assert "serving.kserve.io/autoscalerClass" not in annotations
    predictor = service["spec"]["predictor"]
    assert predictor["minReplicas"] == 0 and predictor["scaleMetric"] == "concurrency"
    assert not REFUSED_BY_KNATIVE & set(predictor)
    container = found["ServingRuntime", "slipway-onnx"]["spec"]["containers"][0]
    assert [port["containerPort"] for port in container["ports"]] == [8080]
    assert "lifecycle" not in container and container["securityContext"]["runAsNonRoot"]


def test_routes_lead_to_the_service_that_kserve_makes_and_keep_metrics_inside(tmp_path):
    found = rendered(tmp_path, "gateway")
    http, rpc = found["HTTPRoute", "digits-public"]["spec"], found["GRPCRoute", "digits-public"]["spec"]
    ports = found["ServingRuntime", "slipway-onnx"]["spec"]["containers"][0]["ports"]
    # KServe calls the first port 80, and the others by their number.
    assert http["rules"][0]["backendRefs"] == [{"name": "digits-predictor", "port": 80}]
    assert rpc["rules"][0]["backendRefs"] == [{"name": "digits-predictor", "port": ports[1]["containerPort"]}]
    assert ports[0]["name"] == "http1"
    assert {match["path"]["value"] for match in http["rules"][0]["matches"]} == {"/v1", "/v2"}
    assert not set(http["hostnames"]) & set(rpc["hostnames"])


def test_the_gpu_goes_to_the_container_that_trains(tmp_path):
    pod = rendered(tmp_path, "gpu")["Job", "train-digits"]["spec"]["template"]["spec"]
    containers = {each["name"]: each for each in (*pod["initContainers"], *pod["containers"])}
    holders = [name for name, each in containers.items() if "nvidia.com/gpu" in each["resources"]["limits"]]
    assert holders == ["train"]
    assert containers["train"]["image"] == "slipway/component-gpu:0.1.0"
    mounts = {each["mountPath"]: each["name"] for each in containers["train"]["volumeMounts"]}
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"  # a mount in a container
    assert mounts["/tmp"] in volumes  # same


def test_external_secrets_bring_the_keys_that_are_otherwise_made_on_the_spot(tmp_path):
    pytest.importorskip("kubernetes", reason="what makes the Secrets needs its client")
    source = ROOT / "manifests/secrets/generate.py"
    spec = util.spec_from_file_location("generate_secrets", source)
    generate = util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    found = {name: each["spec"] for (kind, name), each in rendered(tmp_path, "external-secrets").items()
             if kind == "ExternalSecret"}  # fmt: skip
    keys = {
        name: {each["secretKey"] for each in spec["data"]} | set(spec["target"].get("template", {}).get("data", {}))
        for name, spec in found.items()
    }
    assert keys == {name: set(content) for name, content in generate.contents().items()}
    assert found["models-reader"]["target"]["template"]["metadata"]["annotations"] == generate.ENDPOINT
    made = generate.contents()["mlflow"]
    uri = found["mlflow"]["target"]["template"]["data"]["MLFLOW_BACKEND_STORE_URI"]
    assert uri.replace("{{ .password }}", made["password"]) == made["MLFLOW_BACKEND_STORE_URI"]


def machine(found: Objects) -> dict:
    """The Job that Kubeflow Trainer makes of the TrainingRuntime."""
    (job,) = found["TrainingRuntime", "slipway"]["spec"]["template"]["spec"]["replicatedJobs"]
    return job["template"]["spec"]


def test_the_step_that_asks_for_machines_gets_the_token_for_it(tmp_path):
    found = rendered(tmp_path, "trainer")
    pod = found["Job", "train-digits"]["spec"]["template"]["spec"]
    mounts = {
        each["name"]: {mount["name"] for mount in each["volumeMounts"]}
        for each in (*pod["initContainers"], *pod["containers"])
    }
    assert mounts == {"wait": {"tmp"}, "train": {"tmp", "token"}, "promote": {"tmp", "token"}}
    assert found["RoleBinding", "trainer"]["subjects"] == [
        {"kind": "ServiceAccount", "name": pod["serviceAccountName"], "namespace": "slipway"}
    ]


def test_the_runtime_is_the_one_that_the_step_asks_for(tmp_path):
    from components.machines.job import API, CONTAINER, RUNTIME

    runtime = rendered(tmp_path, "trainer")["TrainingRuntime", RUNTIME]
    assert runtime["apiVersion"] == API
    (container,) = machine({("TrainingRuntime", "slipway"): runtime})["template"]["spec"]["containers"]
    assert container["name"] == CONTAINER


def test_a_failed_training_ends_at_once_and_a_lost_machine_restarts_all(tmp_path):
    found = rendered(tmp_path, "trainer")
    policy = found["TrainingRuntime", "slipway"]["spec"]["template"]["spec"]["failurePolicy"]
    (rule,) = policy["rules"]
    assert (rule["action"], rule["onJobFailureReasons"]) == ("FailJobSet", ["PodFailurePolicy"])
    assert policy["maxRestarts"] == 10
    job = machine(found)
    (told,) = job["podFailurePolicy"]["rules"]
    assert (told["action"], told["onExitCodes"]["values"]) == ("FailJob", [1])
    assert job["backoffLimit"] == 0
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # what a podFailurePolicy asks for


def test_machines_reach_each_other_and_the_store_and_nobody_else_reaches_them(tmp_path):
    documents = overlay(tmp_path, "trainer", "minio").documents
    labels = machine({(each["kind"], each["metadata"]["name"]): each for each in documents})
    own = labels["template"]["metadata"]["labels"]
    store, trainer = {"app.kubernetes.io/name": "minio"}, {"app.kubernetes.io/name": "trainer"}
    assert reachable(documents, own, own, 29500) and reachable(documents, own, own, 45678)
    assert reachable(documents, own, store, 9000)
    assert not reachable(documents, trainer, own, 29500)
    assert not reachable(documents, own, Endpoint(address="93.184.216.34"), 443)


def test_machines_with_gpus_have_the_other_image_and_may_use_their_nodes(tmp_path):
    pod = machine(rendered(tmp_path, "trainer", "gpu"))["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "slipway/component-gpu:0.1.0"
    assert [each["key"] for each in pod["tolerations"]] == ["nvidia.com/gpu"]
    # How many each has, the step says: one for each process.
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
