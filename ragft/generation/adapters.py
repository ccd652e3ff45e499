"""Adapters of one base in memory: opened when first used, switched between, checked always.

How adapters are made is the matter of `training`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from ragft import models
from ragft.generation.soft_prompts import SoftPrompted
from ragft.types import RagftError

_KEPT = 8
"""Adapters held in memory; the one used longest ago goes first."""
MERGED_UP_TO = 50_000_000
"""Parameters of a base small enough for a copy of it with every adapter."""


def adapters_of(network: Any, base_hash: str) -> Adapters:
    """Return the adapters of a base network: merged into copies of a small one, else beside it.

    Parameters
    ----------
    network : PreTrainedModel
    base_hash : str
        SHA-256 over the base's weights: adapters for others are refused.
    """
    weights = list(network.parameters())
    small = sum(weight.numel() for weight in weights) <= MERGED_UP_TO
    # 4 bits hold no sum, and a float16 one may overflow.
    summed = all(weight.dtype in (torch.float32, torch.bfloat16) for weight in weights)
    return (Merged if small and summed else Beside)(network, base_hash)


class Adapters(ABC):
    """The adapters of one base network; see `adapters_of`."""

    def __init__(self, network: Any, base_hash: str) -> None:
        self.network, self.base_hash = network, base_hash
        self.used: list[str] = []  # names in memory, the one used last at the end
        self.soft: dict[str, SoftPrompted] = {}  # those of them that touch no weights
        self._seen: dict[Path, tuple[list[tuple[Any, ...]], str]] = {}

    def check(self, folder: Path) -> None:
        """Raise a RagftError unless the folder holds a whole adapter for this base."""
        card = models.read_card(folder)
        models.check_base(folder, card, self.base_hash)
        if not (folder / "adapter_config.json").is_file():
            raise RagftError(f"{folder}: a whole model, not an adapter: load it as a model")

    def activate(self, folder: Path | None) -> Any:
        """Return the network that answers with the adapter of a folder, or with none."""
        name = None if folder is None else self.opened(folder)
        soft = self.soft.get(name)
        bare = self._activate(None if soft else name)
        return soft or bare

    def opened(self, folder: Path) -> str:
        """Read an adapter that is not in memory, forget another for it, and return its name."""
        name = self._name(folder)
        if name in self.used:
            self.used.remove(name)
        else:
            self.check(folder)
            with models.quiet():
                self._read(folder, name)
            if len(self.used) >= _KEPT:
                self._drop(self.used.pop(0))
        self.used.append(name)
        return name

    def _name(self, folder: Path) -> str:
        """Return what stands for the weights in a folder.

        They are read again only where a file is another than it was: each answer asks for them,
        and reading took a quarter of the time of a short one.
        """
        paths = sorted(folder.glob("*.safetensors"))
        found = [(p, s.st_ino, s.st_size, s.st_mtime_ns) for p in paths for s in [p.stat()]]
        before, name = self._seen.get(folder, (None, ""))
        if found != before:
            name = models.files_hash(paths)[:16]
            self._seen[folder] = found, name
        return name

    def _read(self, folder: Path, name: str) -> None:
        if models.adapter_config(folder).is_prompt_learning:
            self.soft[name] = SoftPrompted(self._activate(None), folder)
        else:
            self._open(folder, name)

    def _drop(self, name: str) -> None:
        if self.soft.pop(name, None) is None:
            self._forget(name)

    @abstractmethod
    def _activate(self, name: str | None) -> Any:
        """Return the network with an adapter of weights that is in memory, or with none."""

    @abstractmethod
    def _open(self, folder: Path, name: str) -> None: ...

    @abstractmethod
    def _forget(self, name: str) -> None: ...


class Merged(Adapters):
    """Copies of the base, each with one adapter added to its weights: as quick as the base.

    Beside the weights, the products with its small matrices double a narrow model's time. The sum
    is taken in float32; a base in bfloat16 gets it rounded once.
    """

    def __init__(self, network: Any, base_hash: str) -> None:
        super().__init__(network, base_hash)
        self.copies: dict[str, Any] = {}

    def _activate(self, name: str | None) -> Any:
        """Return the base or the copy that has the adapter."""
        return self.network if name is None else self.copies[name]

    def _open(self, folder: Path, name: str) -> None:
        from peft import PeftModel

        tuned = PeftModel.from_pretrained(deepcopy(self.network).float(), str(folder))
        can = hasattr(tuned.base_model, "merge_and_unload")  # a few of PEFT's kinds cannot
        copied = tuned.merge_and_unload() if can else tuned.get_base_model()
        for weight in copied.parameters():  # not the buffers: positions stay in float32
            weight.data = weight.data.to(self.network.dtype)
        self.copies[name] = copied.eval().requires_grad_(False)

    def _forget(self, name: str) -> None:
        del self.copies[name]


class Beside(Adapters):
    """PEFT's matrices beside the layers of the one network, switched on and off.

    With none active the network computes exactly what it did before.
    """

    def __init__(self, network: Any, base_hash: str) -> None:
        super().__init__(network, base_hash)
        self.peft: Any = None
        self.kind = ""
        self.active: str | None = None

    def _activate(self, name: str | None) -> Any:
        """Switch to an adapter, or to none, and return the network."""
        if name == self.active:
            return self.network
        if name is None:
            self.peft.base_model.disable_adapter_layers()
        else:
            self.peft.base_model.enable_adapter_layers()
            self.peft.base_model.set_adapter(name)
            self.peft.requires_grad_(False)
        self.active = name
        return self.network

    def _open(self, folder: Path, name: str) -> None:
        from peft import PeftModel

        kind = models.adapter_config(folder).peft_type
        if self.peft is not None and kind != self.kind:
            self._unload()
        if self.peft is None:
            self.peft = PeftModel.from_pretrained(self.network, str(folder), adapter_name=name)
            self.kind = kind
        else:
            self.peft.load_adapter(str(folder), adapter_name=name)
        self.network.eval()
        self.active = ""  # neither an adapter nor none: switch in any case

    def _unload(self) -> None:
        """Forget all adapters of weights: PEFT puts those of one kind beside a layer at a time."""
        self.network = self.peft.unload()
        self.peft, self.active = None, None
        self.used = [name for name in self.used if name in self.soft]

    def _forget(self, name: str) -> None:
        self.peft.delete_adapter(name)
