"""Adapters beside one base in memory: opened when first used, switched between, checked always.

How adapters are made is the matter of `training`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ragft import models
from ragft.types import RagftError

_KEPT = 8
"""Adapters held in memory; the one used longest ago goes first."""


class Adapters:
    """The adapters of one base network.

    Parameters
    ----------
    network : PreTrainedModel
        PEFT puts its matrices beside the network's layers; with none active the network computes
        exactly what it did before.
    base_hash : str
        SHA-256 over the base's weights: adapters for others are refused.
    """

    def __init__(self, network: Any, base_hash: str) -> None:
        self.network, self.base_hash = network, base_hash
        self.peft: Any = None
        self.active: str | None = None
        self.used: list[str] = []  # names in memory, the one used last at the end

    def check(self, folder: Path) -> None:
        """Raise a RagftError unless the folder holds a whole adapter for this base."""
        card = models.read_card(folder)
        models.check_base(folder, card, self.base_hash)
        if not (folder / "adapter_config.json").is_file():
            raise RagftError(f"{folder}: a whole model, not an adapter: load it as a model")

    def activate(self, folder: Path | None) -> Any:
        """Switch to the adapter of a folder, or to none, and return the network."""
        name = None if folder is None else self._opened(folder)
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

    def _opened(self, folder: Path) -> str:
        name = models.files_hash(sorted(folder.glob("*.safetensors")))[:16]
        if name in self.used:
            self.used.remove(name)
        else:
            self._open(folder, name)
        self.used.append(name)
        return name

    def _open(self, folder: Path, name: str) -> None:
        from peft import PeftModel

        self.check(folder)
        with models.quiet():
            if self.peft is None:
                self.peft = PeftModel.from_pretrained(self.network, str(folder), adapter_name=name)
            else:
                self.peft.load_adapter(str(folder), adapter_name=name)
        if len(self.used) >= _KEPT:
            self.peft.delete_adapter(self.used.pop(0))
        self.network.eval()
        self.active = ""  # neither an adapter nor none: switch in any case
