"""How a model is trained: the optimizer's numbers; and a system, which joins them to a task and a model."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from common.optimizer import Adam
from common.trainer import warmup_cosine


@dataclass(frozen=True)
class Recipe:
    """The numbers of the optimizer, Adam.

    epochs; batch_size; learning_rate, the highest; warmup_steps: the rate rises to ``learning_rate`` in so many steps
    and then falls to 0 along half a cosine, or None for a constant rate; max_grad, the norm to which gradients are
    clipped; weight_decay; beta1 and beta2, the shares that the running means keep.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.001
    warmup_steps: int | None = None
    max_grad: float = 5.0
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999

    def optimizer(self):
        """Return a new optimizer."""
        return Adam(lr=self.learning_rate, beta1=self.beta1, beta2=self.beta2, weight_decay=self.weight_decay)

    def schedule(self, steps_per_epoch):
        """Return a function step -> learning rate, or None for a constant rate."""
        if self.warmup_steps is None:
            return None
        return warmup_cosine(self.learning_rate, self.warmup_steps, self.epochs * steps_per_epoch)

    def settings(self):
        """Return the numbers as a dict."""
        return asdict(self)


@dataclass(frozen=True)
class System:
    """Something to train: ``python -m ch08.train NAME``.

    about: one line. task: ``task(batch_size=, seed=, **options)`` returns a Task (see ``common.training.task``).
    model: ``model(task, rng=, **sizes)`` returns a new model. recipe: a Recipe. prepare: None, or
    ``prepare(model, task)`` changes the first weights of the new model.
    """

    about: str
    task: Callable
    model: Callable
    recipe: Recipe
    prepare: Callable | None = None
