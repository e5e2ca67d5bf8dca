"""What the steps ask of a cluster: retries, caching, resources, rights, endpoints and credentials."""

from kfp import dsl, kubernetes

ENDPOINTS = (
    "SLIPWAY_STORE", "SLIPWAY_CHECKPOINTS", "MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION",
)  # fmt: skip
GPU = "nvidia.com/gpu"
SHARED_MEMORY = "/dev/shm"  # noqa: S108 (a mount point, not a temporary file)
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "SLIPWAY_SIGNING_KEY")


def step(task: dsl.PipelineTask, *, cached: bool = False) -> dsl.PipelineTask:
    """Settle what every step shares: what happens to a lost pod, what the pod may do, and that caching is chosen.

    Only training is cached. It alone is slow, and its fingerprint input names data, code and libraries; the other steps
    read or write the outside world.
    """
    task.set_retry(num_retries=2, backoff_duration="10s", backoff_factor=2)
    task.set_caching_options(enable_caching=cached)
    task.set_cpu_request("250m").set_cpu_limit("2")
    task.set_memory_request("512M").set_memory_limit("2G")
    # A namespace that enforces the restricted Pod Security standard refuses the step without it.
    return kubernetes.set_security_context(task, run_as_non_root=True)


def outside(task: dsl.PipelineTask) -> None:
    """Tell a step where store and MLflow are, from the namespace's ConfigMap and Secret, both named slipway."""
    kubernetes.use_config_map_as_env(task, "slipway", {name: name for name in ENDPOINTS}, optional=True)
    kubernetes.use_secret_as_env(task, "slipway", {name: name for name in CREDENTIALS}, optional=True)


def accelerated(task: dsl.PipelineTask, cpu: str, memory: str, gpus: str) -> None:
    """Give a step the run's own resources; "0" GPUs is legal everywhere, so one file serves both kinds of cluster."""
    task.set_cpu_limit(cpu).set_memory_limit(memory)
    task.set_accelerator_type(GPU).set_accelerator_limit(gpus)
    # Nodes with GPUs keep others off by this taint; where there is none, to tolerate it means nothing.
    kubernetes.add_toleration(task, key=GPU, operator="Exists", effect="NoSchedule")
    # Processes that train together share tensors through /dev/shm, of which a container has 64 MB by default.
    kubernetes.empty_dir_mount(task, "shm", SHARED_MEMORY, medium="Memory", size_limit="1Gi")
