"""The settings of the models that come with Slipway; typed, and importable without the libraries that train them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.section import Count, Section

Weights = Literal["none", "balanced"]
Zero = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, le=1)]
Strength = Annotated[float, Field(ge=0, le=1)]


class TrainSettings(Section):
    """What every model's settings begin with.

    Attributes:
        model: The name that the model is registered under.
    """

    model: str


class RandomForest(TrainSettings):
    """A random forest (Breiman 2001), trained by scikit-learn.

    Attributes:
        trees: Number of trees.
        max_depth: Deepest level of a tree; none grows until the leaves are pure.
        min_samples_leaf: Fewest training rows in a leaf.
        max_features: The share of the features that each split chooses from; none takes the root of their number.
        class_weights: ``balanced`` weighs a class by the inverse of its frequency.
    """

    model: Literal["random_forest"] = "random_forest"
    trees: Annotated[int, Field(ge=1, le=10_000)] = 300
    max_depth: Count | None = None
    min_samples_leaf: Count = 1
    max_features: Rate | None = None
    class_weights: Weights = "none"


class LogisticRegression(TrainSettings):
    """A multinomial logistic regression with an L2 penalty, trained by scikit-learn.

    Attributes:
        c: Inverse strength of the penalty.
        max_iterations: Most steps of the solver.
        class_weights: ``balanced`` weighs a class by the inverse of its frequency.
    """

    model: Literal["logistic_regression"] = "logistic_regression"
    c: Annotated[float, Field(gt=0)] = 1.0
    max_iterations: Count = 1000
    class_weights: Weights = "none"


class GradientBoosting(TrainSettings):
    """Gradient boosting of trees over binned values (Ke et al. 2017), trained by scikit-learn.

    Attributes:
        iterations: Most rounds; each adds a tree per class.
        learning_rate: Weight of a new tree.
        max_leaf_nodes: Most leaves of a tree.
        min_samples_leaf: Fewest training rows in a leaf.
        l2: Penalty of large leaf values.
        patience: Rounds without a better validation loss after which training stops.
        class_weights: ``balanced`` weighs a class by the inverse of its frequency.
    """

    model: Literal["gradient_boosting"] = "gradient_boosting"
    iterations: Annotated[int, Field(ge=1, le=10_000)] = 300
    learning_rate: Rate = 0.1
    max_leaf_nodes: Annotated[int, Field(ge=2)] = 31
    min_samples_leaf: Count = 20
    l2: Zero = 0.0
    patience: Count = 20
    class_weights: Weights = "none"


class Augment(Section):
    """Random changes of training pictures, drawn anew for every picture of every batch.

    Attributes:
        flip: Mirror left and right, with even odds.
        shift: Largest move in either direction, as a share of the side.
        zoom: Largest enlargement, as a share of the side that is left out.
        rotation: Largest turn in either direction, in degrees.
        brightness: Largest change of brightness, as a share.
        contrast: Largest change of contrast, as a share.
        noise: Standard deviation of added normal noise, as a share of the range of values.
    """

    flip: bool = False
    shift: Strength = 0.0
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.0
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    brightness: Strength = 0.0
    contrast: Strength = 0.0
    noise: Strength = 0.0


class Network(TrainSettings):
    """What all neural networks are told; they are trained by torch and keep their best epoch.

    Attributes:
        epochs: Most passes over the training rows.
        batch_size: Rows per step; batch norm needs two.
        learning_rate: Step size; of a schedule, the largest.
        optimizer: Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019), or SGD with momentum.
        momentum: Of SGD.
        weight_decay: Decoupled for AdamW, an L2 penalty for the others.
        schedule: How the step size goes: constant, along a cosine to zero, or a tenth after each third of the epochs.
        warmup: Epochs in which the step size grows from zero.
        class_weights: ``balanced`` weighs a class by the inverse of its frequency.
        label_smoothing: Share of the target that is spread over all classes (Szegedy et al. 2016).
        dropout: Share of activations that are dropped in training.
        patience: Epochs without a better validation loss after which training stops.
        precision: ``bfloat16`` runs the network in half the bits, weights and loss stay in float32; ``auto`` does so on
            a GPU that can.
        augment: Random changes of training pictures.
        threads: CPU threads; a sum in another order has other last bits, so this is part of what a model is.
        device: ``cpu``, ``cuda``, or ``auto``: a GPU where one is. Asking for a GPU that is not there is an error.
        compile: Let torch compile the network; worth its first minutes in long runs.
        processes: So many train together, each on its share of every batch; on GPUs, one for each.
        machines: Pods that the processes are spread over, by Kubeflow Trainer.
        checkpoint_seconds: From one checkpoint to the next; zero keeps none.
    """

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    batch_size: Annotated[int, Field(ge=2)] = 64
    learning_rate: Rate = 0.001
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Zero = 0.0
    schedule: Literal["constant", "cosine", "step"] = "constant"
    warmup: Zero = 0.0
    class_weights: Weights = "none"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    patience: Count = 10
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    augment: Augment = Augment()
    threads: Annotated[int, Field(ge=1, le=256)] = 2
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool = False
    processes: Annotated[int, Field(ge=1, le=4096)] = 1
    machines: Annotated[int, Field(ge=1, le=1024)] = 1
    checkpoint_seconds: Zero = 120.0

    @model_validator(mode="after")
    def _shared_out(self) -> Self:
        if self.processes % self.machines:
            raise ValueError(
                f"processes={self.processes} can't be spread evenly over machines={self.machines}; "
                f"use a multiple, like {self.machines * max(1, self.processes // self.machines)}"
            )
        if self.machines > 1 and self.device == "auto":
            raise ValueError(
                f"machines={self.machines} with device=auto leaves open whether to ask for GPUs; set device to cuda "
                "or to cpu"
            )
        if self.batch_size < 2 * self.processes:
            raise ValueError(
                f"batch_size={self.batch_size} leaves each of processes={self.processes} fewer than 2 rows; "
                f"use at least {2 * self.processes}"
            )
        return self


class MnistCnn(Network):
    """Two convolutions with batch norm and two dense layers, for small pictures such as digits."""

    model: Literal["mnist_cnn"] = "mnist_cnn"


class SimpleCnn(Network):
    """Four convolution layers with batch norm, for photographs."""

    model: Literal["simple_cnn"] = "simple_cnn"
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30


class ImprovedCnn(Network):
    """A small residual network (after He et al. 2016), for photographs."""

    model: Literal["improved_cnn"] = "improved_cnn"
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30


class ResNet18(Network):
    """ResNet-18 (He et al. 2016) as torchvision builds it.

    Attributes:
        weights: ``random``; ``imagenet`` for torchvision's own, where the network allows; or a state dict as a
            ``.safetensors`` file: a path, ``file://`` or ``s3://``.
        freeze: Train the last layer only.
    """

    model: Literal["resnet18"] = "resnet18"
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    batch_size: Annotated[int, Field(ge=2)] = 16
    weights: str = "random"
    freeze: bool = False
