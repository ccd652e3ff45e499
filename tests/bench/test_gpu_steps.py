"""The timed work of the GPU benchmark: the right tokens, the right clock, nothing read back."""

import math
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from ragft import runtime
from ragft.bench.gpu import continuous, tuning
from ragft.bench.gpu.bursts import Burst
from ragft.bench.gpu.device import Device, Unavailable, out_of_memory, timed
from ragft.bench.gpu.settings import Load, check_settings
from ragft.bench.gpu.steps import READ_AT_ONCE, Store, graphed, read, stepper
from ragft.bench.gpu.training import operations
from ragft.generation.shapes import TOY

LOAD = Load(9, 4, "test")


@pytest.fixture(scope="module")
def device():
    return Device(check_settings())


@pytest.fixture(scope="module")
def network(device):
    return device.build(TOY.config(initializer_range=0.3), "float32").eval()


class Card:
    """A device on which work is queued: starting it takes 1 second, waiting for it the rest."""

    def __init__(self, monkeypatch):
        self.now, self.queued, self.waits = 0.0, 0.0, 0
        gpu = SimpleNamespace(
            is_available=lambda: True, is_initialized=lambda: True, synchronize=self.wait
        )
        clock = SimpleNamespace(perf_counter=lambda: self.now)
        monkeypatch.setitem(runtime.sys.modules, "torch", SimpleNamespace(cuda=gpu))
        monkeypatch.setattr(runtime, "time", clock)

    def start(self, seconds):
        self.now += 1
        self.queued += seconds

    def wait(self):
        self.now += self.queued
        self.queued, self.waits = 0.0, self.waits + 1


def test_the_clock_waits_for_the_device_before_and_after_and_skips_the_warm_up(monkeypatch):
    card, lasting = Card(monkeypatch), iter([500.0, 300.0, 10.0, 20.0, 30.0])
    assert timed(lambda: card.start(next(lasting)), repeats=3, warm=2) == [11, 21, 31]
    assert card.waits == 6  # 800 seconds were still queued when the first timing began


def test_work_that_takes_long_is_timed_once_and_after_its_warm_up(device, monkeypatch):
    card, lasting = Card(monkeypatch), iter([100.0, 40.0])
    assert device.seconds(lambda: card.start(next(lasting)), warm=1) == 41


def test_decoding_gives_the_tokens_that_a_plain_forward_pass_gives(device, network):
    tokens, store = device.tokens(TOY.vocabulary, 1, 6), Store(network, 3, 7)
    read(network, tokens, store)
    store.repeat_first()
    step = stepper(network, store, 6)
    so_far, said = tokens, 0
    for _ in range(2):  # the second step writes over the first, as a repeated timing does
        so_far = torch.cat([tokens, torch.full((1, 1), said)], 1)
        with torch.no_grad():
            expected = network(so_far).logits[0, -1].argmax()
        got = step()
        assert got.shape == (3, 1) and (got == expected).all()
        said = int(expected)
    assert said != 0


def test_prompts_read_in_parts_fill_the_store_as_prompts_read_at_once(device, network, monkeypatch):
    tokens = device.tokens(TOY.vocabulary, 5, 8)
    whole, parts = Store(network, 5, 8), Store(network, 5, 8)
    read(network, tokens, whole)
    calls, forward = [], network.forward
    monkeypatch.setattr("ragft.bench.gpu.steps.READ_AT_ONCE", 17)
    monkeypatch.setattr(network, "forward", lambda **k: calls.append(k) or forward(**k))
    read(network, tokens, parts)
    assert [len(call["input_ids"]) for call in calls] == [2, 2, 1]
    assert READ_AT_ONCE > 40
    for (keys, values), (others, more) in zip(whole.layers, parts.layers, strict=True):
        torch.testing.assert_close(keys, others)
        torch.testing.assert_close(values, more)
    assert whole.bytes == TOY.kv_bytes(5 * 8, size=4)


def test_a_step_reads_nothing_back_from_the_device_so_that_a_graph_can_hold_it(device):
    """Tensors without values: whatever asks for one, as a captured graph may not, raises."""
    from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

    with FakeTensorMode():
        network = device.build(TOY.config(), "bfloat16").eval()
        store = Store(network, 2, 7)
        read(network, torch.zeros(2, 6, dtype=torch.long), store)
        step = stepper(network, store, 6)
        assert step().shape == (2, 1)
        with pytest.raises(DataDependentOutputException):
            int(step()[0, 0])


def test_a_burst_reads_every_prompt_and_writes_every_token(device, network, monkeypatch):
    monkeypatch.setattr(device, "network", lambda shape: network)
    burst, read_tokens = Burst(device, TOY, LOAD, 3), []
    forward = network.forward
    monkeypatch.setattr(
        network, "forward", lambda **k: read_tokens.append(k["input_ids"].shape) or forward(**k)
    )
    burst.answer()
    assert read_tokens == [(3, 9), (3, 1), (3, 1), (3, 1)]  # the first of 4 comes with the prompt
    assert burst.store.bytes == TOY.kv_bytes(3 * 12, size=4)
    assert math.isnan(burst.store_bytes)


def _graphs(monkeypatch, fail=None):
    """Stand in for the GPU's streams and graphs, and note what happens to them."""
    log = []

    class Stream:
        def __init__(self, name="side"):
            self.name = name

        def wait_stream(self, other):
            log.append(f"{self.name} waits for {other.name}")

    @contextmanager
    def inside(what):
        log.append(f"in {what}")
        yield
        if fail is not None and what == "graph":
            raise fail

    main = Stream("main")
    for name, value in {
        "is_available": lambda: True,
        "Stream": Stream,
        "current_stream": lambda: main,
        "stream": lambda stream: inside(stream.name),
        "CUDAGraph": lambda: SimpleNamespace(replay="replay"),
        "graph": lambda graph: inside("graph"),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return log


def test_a_graph_is_captured_after_a_warm_up_on_a_side_stream(monkeypatch):
    log = _graphs(monkeypatch)
    assert graphed(lambda: log.append("step")) == "replay"
    warm = ["side waits for main", "in side", "step", "step", "step", "main waits for side"]
    assert log == [*warm, "in graph", "step"]


def test_what_cannot_be_captured_is_told_and_a_full_memory_passes_through(monkeypatch):
    with pytest.raises(Unavailable, match="a CUDA graph needs a GPU"):
        graphed(lambda: None)
    _graphs(monkeypatch, RuntimeError("operation not permitted\nwhen capturing"))
    with pytest.raises(Unavailable, match="no CUDA graph: operation not permitted$"):
        graphed(lambda: None)
    _graphs(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(torch.OutOfMemoryError):
        graphed(lambda: None)


def test_errors_that_mean_a_full_memory():
    assert out_of_memory(torch.OutOfMemoryError("x"))
    assert out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"))
    assert not out_of_memory(RuntimeError("shapes do not match"))
    assert not out_of_memory(ValueError("out of memory"))


def _said(count, tokens=4, error=None):
    return [SimpleNamespace(generated_tokens=[1] * tokens, error=error)] * count


def test_continuous_batching_that_answers_in_part_is_no_result():
    continuous.check(_said(3), LOAD, 3)
    with pytest.raises(Unavailable, match="answered 2 of 3 questions$"):
        continuous.check(_said(2), LOAD, 3)
    with pytest.raises(Unavailable, match="answered 0 of 3 questions: lost"):
        continuous.check(_said(3, tokens=2, error="lost"), LOAD, 3)
    with pytest.raises(torch.OutOfMemoryError):
        continuous.check(_said(1, error="CUDA out of memory. Tried"), LOAD, 3)


def test_continuous_batching_answers_and_gives_the_attention_back(device, network):
    before = network.config._attn_implementation
    with continuous.running(network, LOAD, 2) as answers:
        answers(device.tokens(TOY.vocabulary, 2, LOAD.prompt).tolist())
        assert network.config._attn_implementation != before
    assert network.config._attn_implementation == before
    with pytest.raises(Unavailable, match="no continuous batching"), continuous.running(1, LOAD, 2):
        pass


@pytest.mark.parametrize("method", ["full", "lora"])
def test_operations_of_training_are_those_that_torch_counts(device, method):
    from torch.utils.flop_counter import FlopCounterMode

    network = device.build(TOY.config(), "float32").train()
    network.set_attn_implementation("eager")  # which computes the whole square of positions
    if method == "lora":  # frozen weights, gradients that pass through: LoRA without its matrices
        network.requires_grad_(False)
        network.get_input_embeddings().weight.requires_grad_(True)
        network.lm_head.weight = torch.nn.Parameter(network.lm_head.weight.clone(), False)
    step = tuning.training_step(device, network, TOY.vocabulary, LOAD, 2)
    with FlopCounterMode(display=False) as counter:
        step()
    square = 3 * 2 * 2 * TOY.layers * TOY.hidden * LOAD.tokens**2
    expected = operations(TOY, method, LOAD, 2) + square
    # some versions of transformers turn positions into angles by a product of their own
    assert counter.get_total_flops() == pytest.approx(expected, rel=1e-4)


def test_only_completions_are_learnt_and_the_loss_falls(device):
    network = tuning.trainable(device, TOY, "full")
    step = tuning.training_step(device, network, TOY.vocabulary, LOAD, 2)
    tokens = device.tokens(TOY.vocabulary, 2, LOAD.tokens)
    labels = tokens.masked_fill(torch.arange(LOAD.tokens) < LOAD.prompt, -100)
    with torch.no_grad():
        expected = network(tokens, labels=labels).loss
    first = step()
    torch.testing.assert_close(first, expected)
    assert step() < first


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_an_adapter_weighs_what_its_file_weighs(device, method, tmp_path):
    from safetensors import safe_open

    if method == "qlora":
        pytest.importorskip("bitsandbytes")
    network = tuning.trainable(device, TOY, method)
    kept = tuning.adapter_bytes(network, tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    assert kept == path.stat().st_size == tuning.adapter_bytes(network)
    with safe_open(path, "pt") as file:
        numbers = sum(file.get_tensor(name).numel() for name in file.keys())
    assert numbers == tuning.trained_parameters(network) > 0
    width = {"q": 64, "k": 32, "v": 32, "o": 64, "gate": 128, "up": 128, "down": 64}
    rank, inside = device.settings.rank, {"down": 128}
    by_hand = sum(rank * (inside.get(name, 64) + out) for name, out in width.items())
    assert numbers == TOY.layers * by_hand


def test_four_bit_weights_are_small_and_only_the_output_keeps_its_own(device):
    Linear4bit = pytest.importorskip("bitsandbytes").nn.Linear4bit
    network = tuning.trainable(device, TOY, "qlora")
    packed = [m for m in network.modules() if type(m) is Linear4bit]
    assert len(packed) == 7 * TOY.layers
    assert sum(m.weight.numel() for m in packed) == TOY.layer_weights // 2  # two in a byte
    assert type(network.get_output_embeddings()) is torch.nn.Linear


def test_in_bfloat16_the_adapter_stays_in_float32(device):
    half = Device(replace(device.settings, dtype="bfloat16"))
    network = tuning.trainable(half, TOY, "lora")
    kinds = {part.requires_grad: part.dtype for part in network.parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    assert torch.isfinite(tuning.training_step(half, network, TOY.vocabulary, LOAD, 2)())


def test_four_bits_without_their_package_are_unavailable(device, monkeypatch):
    monkeypatch.setattr(tuning, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="bitsandbytes is not installed"):
        tuning.trainable(device, TOY, "qlora")
