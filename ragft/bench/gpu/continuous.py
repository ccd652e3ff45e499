"""Continuous batching of transformers, as far as the benchmark needs it: bursts to one manager.

`generate_batch` starts and ends a manager for every call, which takes half a second; a server
does that once, so bursts are handed to a manager that is running.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

from ragft import models
from ragft.bench.gpu.device import ATTENTION, Unavailable, out_of_memory
from ragft.bench.gpu.settings import Load

Answers = Callable[[Sequence[Sequence[int]]], None]
"""Answers prompts of one length, or raises `Unavailable`."""


@contextmanager
def running(network: Any, load: Load, count: int) -> Iterator[Answers]:
    """Run a manager for bursts of `count` questions and give the function that answers one.

    Raises
    ------
    Unavailable
        This version or machine cannot do it; names the reason.
    torch.OutOfMemoryError
    """
    if not hasattr(network, "continuous_batching_context_manager"):
        raise Unavailable("this version of transformers has no continuous batching")
    network.set_attn_implementation("sdpa")  # the manager takes only names it knows
    try:
        with (
            models.quiet(),
            network.continuous_batching_context_manager(
                **_options(network, load, count), timeout=5, warmup=False
            ) as manager,
        ):
            yield lambda prompts: _answer(manager, prompts, load)
    except Exception as error:
        if out_of_memory(error) or isinstance(error, Unavailable):
            raise
        raise Unavailable(f"continuous batching: {type(error).__name__}: {error}") from error
    finally:
        network.set_attn_implementation(ATTENTION)


def _options(network: Any, load: Load, count: int) -> dict[str, Any]:
    """Return the options of a manager; those that a version does not know are left out."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    wishes: dict[str, Any] = {
        "auto_switch_to_flash": find_spec("flash_attn") is not None,  # never from the hub
        "allow_block_sharing": False,
        "max_requests_per_batch": count,
    }
    if network.device.type == "cpu":  # where it takes 60 % of the machine's memory otherwise
        wishes |= {"num_blocks": count * (load.tokens // 256 + 2), "max_batch_tokens": 256}
    known = {field.name for field in fields(ContinuousBatchingConfig)}
    return {
        "continuous_batching_config": ContinuousBatchingConfig(
            **{name: value for name, value in wishes.items() if name in known}
        ),
        "generation_config": GenerationConfig(
            max_new_tokens=load.completion, do_sample=False, eos_token_id=-1, pad_token_id=0
        ),
    }


def _answer(manager: Any, prompts: Sequence[Sequence[int]], load: Load) -> None:
    manager.add_requests(inputs=list(prompts), max_new_tokens=load.completion)
    answers: list[Any] = []
    while len(answers) < len(prompts):
        one = manager.get_result(timeout=1)
        if one is not None and one.is_finished():
            answers.append(one)
        elif one is None and not manager.is_running():
            break
    check(answers, load, len(prompts))


def check(answers: Sequence[Any], load: Load, count: int) -> None:
    """Refuse a burst that was not answered whole: transformers only logs what went wrong.

    Raises
    ------
    Unavailable
        An answer is missing or short.
    torch.OutOfMemoryError
        That was the reason.
    """
    import torch

    errors = [str(one.error) for one in answers if one.error is not None]
    if any("out of memory" in error.lower() for error in errors):
        raise torch.OutOfMemoryError(errors[0])
    whole = sum(len(one.generated_tokens) == load.completion for one in answers)
    if whole < count:
        reason = f": {errors[0]}" if errors else ""
        raise Unavailable(f"continuous batching answered {whole} of {count} questions{reason}")
