# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, Iterator, Optional, Set, Tuple, Union

import torch
from mmengine.dist import all_gather_object
from mmengine.model import BaseModule
from mmengine.structures import InstanceData


class DetectionBank(BaseModule):
    """The detections of the last mining pass, by path of the image.

    They are in pixels of the stored image, on the host, and are part of
    checkpoints: the bank is a module for its state alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._entries: Dict[str, InstanceData] = {}
        # Paths whose entries the other processes do not have yet.
        self._new_paths: Set[str] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, img_path: str) -> Optional[InstanceData]:
        """Get the detections of an image, None if there is no entry."""
        return self._entries.get(img_path)

    def put(self, img_path: str, detections: InstanceData) -> None:
        """Store the detections of an image in place of earlier ones."""
        self._entries[img_path] = detections.cpu()
        self._new_paths.add(img_path)

    def items(self) -> Iterator[Tuple[str, InstanceData]]:
        """Yield paths and detections in the order of the paths."""
        for img_path in sorted(self._entries):
            yield img_path, self._entries[img_path]

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()
        self._new_paths.clear()

    def gather(self) -> None:
        """Give every process of a distributed run the new entries of all.

        New is what was put since the last call. Every process has the older
        entries already, and its copies must not replace newer ones. Of an
        image that several processes have seen, all keep the same entry.
        """
        new_entries = {path: self._entries[path] for path in self._new_paths}
        for entries in all_gather_object(new_entries):
            self._entries.update(entries)
        self._new_paths.clear()

    def get_extra_state(self) -> Union[Dict[str, dict], torch.Tensor]:
        """Entries as plain tensors, fields and metainfo by path.

        Without entries it is a tensor: at the start of a distributed training
        MMEngine broadcasts the whole state of a model, and can broadcast
        tensors only.
        """
        if not self._entries:
            return torch.zeros(1)
        return {
            img_path: dict(
                fields=dict(detections.items()),
                metainfo=dict(detections.metainfo_items()),
            )
            for img_path, detections in self.items()
        }

    def set_extra_state(
        self, state: Union[Dict[str, dict], torch.Tensor]
    ) -> None:
        """Restore what :meth:`get_extra_state` returned."""
        if isinstance(state, torch.Tensor):
            state = {}
        self._entries = {
            img_path: InstanceData(
                metainfo=entry['metainfo'], **entry['fields']
            )
            for img_path, entry in state.items()
        }
        self._new_paths.clear()
