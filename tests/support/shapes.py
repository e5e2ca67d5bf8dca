"""Pipelines for the linter: a sound one, and small ones that each break a single rule.

Their steps speak between angle brackets, so that a test can hear what a local run really does.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from kfp import dsl, kubernetes

IMAGE = "slipway/component-python:test"
BROKEN: dict[str, tuple[str, Any]] = {}

component = dsl.component(base_image=IMAGE, install_kfp_package=False)


def breaks(rule: str) -> Callable[[Callable[..., Any]], None]:
    """Register the pipeline that a function describes as an example of a broken rule."""

    def register(function: Callable[..., Any]) -> None:
        BROKEN[function.__name__] = rule, dsl.pipeline(function)

    return register


def step(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Give a task what every rule about steps asks for."""
    task.set_caching_options(enable_caching=False)
    return kubernetes.set_security_context(task, run_as_non_root=True)


def accelerated(task: dsl.PipelineTask, count: str) -> dsl.PipelineTask:
    """Give a task accelerators, and shared memory for its data loaders."""
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(count)
    return kubernetes.empty_dir_mount(task, volume_name="shm", mount_path="/dev/shm", medium="Memory")


@component
def say(text: str, more: str = ""):
    print(f"<{text} {more}>")


@component
def count(texts: list):
    print(f"<{len(texts)} texts>")


@component
def read(data: dsl.Input[dsl.Dataset]):
    with open(data.path) as file:  # noqa: PTH123 a step's source sees no module imports
        print(f"<{file.read()}>")


@component
def write(text: str, data: dsl.Output[dsl.Dataset]):
    with open(data.path, "w") as file:  # noqa: PTH123 a step's source sees no module imports
        file.write(text)


@component
def word() -> str:
    return "outside"


@component
def words() -> list[str]:
    return ["a", "b"]


@component
def measure(
    data: dsl.Input[dsl.Dataset],
) -> NamedTuple("Measured", [("verdict", str), ("words", list[str])]):
    return ("passed", ["a", "b"])


@component
def train(data: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model]):
    pass


@component
def publish(verdict: str, model: dsl.Input[dsl.Model]) -> str:
    return "s3://models/1"


def measured() -> dict[str, Any]:
    """The named outputs of a step."""
    return step(measure(data=step(write(text="rows")).outputs["data"])).outputs


@dsl.pipeline
def fit(data: dsl.Input[dsl.Dataset], cpu: str, gpus: str) -> dsl.Model:
    trained = accelerated(step(train(data=data)), gpus).set_cpu_limit(cpu).set_caching_options(True)
    return trained.outputs["model"]


@dsl.pipeline
def say_each(texts: list[str], more: str):
    with dsl.ParallelFor(texts) as text:
        step(say(text=text, more=more))


@dsl.pipeline
def greet(text: str, more: str = "default"):
    step(say(text=text, more=more))


@dsl.pipeline
def relay(data: dsl.Input[dsl.Dataset]):
    step(read(data=data))


@dsl.pipeline
def relay_inner(text: str, data: dsl.Input[dsl.Dataset]):
    step(read(data=data))
    relay(data=step(write(text=text)).outputs["data"])


@dsl.pipeline
def sound(cpu: str = "2", gpus: str = "0", credentials: str = "slipway"):
    prepared = step(write(text="rows"))
    model = fit(data=prepared.outputs["data"], cpu=cpu, gpus=gpus).output
    assessed = step(measure(data=prepared.outputs["data"]))
    say_each(texts=assessed.outputs["words"], more=assessed.outputs["verdict"])
    with dsl.If(assessed.outputs["verdict"] == "passed"):
        published = step(publish(verdict=assessed.outputs["verdict"], model=model))
        kubernetes.use_secret_as_env(published, credentials, {"AWS_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID"})
    with dsl.Else():
        step(say(text="refused"))


@breaks("one-sided-gate")
def gate_on_a_named_output():
    with dsl.If(measured()["verdict"] == "passed"):
        step(say(text="open"))


@breaks("quoted-condition")
def condition_with_a_quote(text: str = "it's"):
    with dsl.If(text == "it's"):
        step(say(text="open"))
    with dsl.Else():
        step(say(text="shut"))


@breaks("loop-source")
def loop_over_a_named_output():
    with dsl.ParallelFor(measured()["words"]) as text:
        step(say(text=text))


@breaks("loop-source")
def loop_over_an_item(rows: list[list[str]] = [["a", "b"], ["c", "d"]]):  # noqa: B006 a pipeline's default
    with dsl.ParallelFor(rows) as row, dsl.ParallelFor(row) as text:
        step(say(text=text))


@breaks("loop-body")
def loop_with_another_output():
    more = step(word()).output
    with dsl.ParallelFor(["a"]) as text:
        step(say(text=text, more=more))


@breaks("loop-body")
def loop_with_another_item(outer: list[str] = ["a"], inner: list[str] = ["b"]):  # noqa: B006 a pipeline's default
    with dsl.ParallelFor(outer) as text, dsl.ParallelFor(inner) as more:
        step(say(text=text, more=more))


@breaks("loop-body")
def loop_with_its_whole_list():
    texts = step(words()).output
    with dsl.ParallelFor(texts) as text:
        step(say(text=text))
        step(count(texts=texts))


@breaks("loop-list")
def loop_over_nothing(texts: list[str] = []):  # noqa: B006 a pipeline's default
    say_each(texts=texts, more="")


@breaks("loop-list")
def loop_over_mixed_fields():
    with dsl.ParallelFor([{"text": "a"}, {"text": 1}]) as item:
        step(say(text=item.text))


@breaks("loop-in-exit-handler")
def loop_in_exit_handler():
    with dsl.ExitHandler(step(say(text="end"))), dsl.ParallelFor(["a"]) as text:
        step(say(text=text))


@breaks("dict-item-in-group")
def dict_item_in_if(items: list[dict[str, str]] = [{"text": "a"}]):  # noqa: B006 a pipeline's default
    with dsl.ParallelFor(items) as item, dsl.If(item.text == "a"):
        step(say(text=item.text))


@breaks("undeclared-input")
def resource_in_if(cpu: str = "1", text: str = "a"):
    with dsl.If(text == "a"):
        step(say(text=text)).set_cpu_limit(cpu)


@breaks("inherited-input")
def nested_pipeline_without_an_input(more: str = "outer"):
    greet(text=more)


@breaks("artifacts-alone")
def nested_pipeline_with_artifacts_alone():
    relay_inner(text="inner", data=step(write(text="outer")).outputs["data"])


@breaks("one-of-artifacts")
def one_of_artifacts(text: str = "a"):
    with dsl.If(text == "a"):
        one = step(write(text="a"))
    with dsl.Else():
        two = step(write(text="b"))
    step(read(data=dsl.OneOf(one.outputs["data"], two.outputs["data"])))


@breaks("environment")
def environment_variable():
    step(say(text="a")).set_env_variable("MLFLOW_TRACKING_URI", "http://mlflow")


@breaks("accelerator")
def fixed_accelerators():
    accelerated(step(say(text="a")), "1")


@breaks("accelerator")
def accelerators_by_default(gpus: str = "1"):
    fit(data=step(write(text="rows")).outputs["data"], cpu="1", gpus=gpus)


@breaks("shared-memory")
def accelerators_without_shared_memory(gpus: str = "0"):
    step(say(text="a")).set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(gpus)


@breaks("root-user")
def root_user():
    say(text="a").set_caching_options(False)


@breaks("pip-install")
def pip_install():
    step(dsl.component(word.python_func, base_image=IMAGE)())


@breaks("mutable-image")
def image_without_a_version(image: str = "localhost:5000/slipway"):
    step(word()).set_container_image(image).set_caching_options(True)


@breaks("mutable-image")
def image_of_no_version():
    step(word()).set_container_image("slipway/component-python:latest").set_caching_options(True)


@breaks("cached-effect")
def cached_step_without_outputs():
    step(say(text="a")).set_caching_options(True)


@breaks("cached-effect")
def cached_step_with_a_secret():
    task = step(word()).set_caching_options(True)
    kubernetes.use_secret_as_env(task, "slipway", {"AWS_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID"})


@breaks("rewritten-text")
def interpreter_in_a_default(text: str = "python3"):
    step(say(text=text))


@breaks("cluster-placeholder")
def time_of_creation():
    step(say(text=dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER))


@breaks("remote-import")
def remote_import(uri: str = "s3://data/rows"):
    step(read(data=dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset).output))
