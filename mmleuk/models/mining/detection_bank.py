# Copyright (c) mmleuk authors. All rights reserved.
from collections import defaultdict
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple, Union

import torch
from mmengine.dist import all_gather_object, get_world_size
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor


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
        if get_world_size() > 1:
            new = {path: self._entries[path] for path in self._new_paths}
            for groups in all_gather_object(pack_entries(new)):
                self._entries.update(unpack_entries(groups))
        self._new_paths.clear()

    def get_extra_state(self) -> Union[Dict[str, list], Tensor]:
        """All entries in a few plain tensors, see :func:`pack_entries`.

        Without entries it is a tensor: at the start of a distributed training
        MMEngine broadcasts the whole state of a model, and can broadcast
        tensors only.
        """
        if not self._entries:
            return torch.zeros(1)
        return dict(groups=pack_entries(self._entries))

    def set_extra_state(self, state: Union[Dict[str, Any], Tensor]) -> None:
        """Restore what :meth:`get_extra_state` returned."""
        if isinstance(state, Tensor):
            self._entries = {}
        elif 'groups' in state:
            self._entries = unpack_entries(state['groups'])
        else:
            # As stored by mmleuk 0.1: each entry by its path.
            self._entries = {
                path: InstanceData(
                    metainfo=entry['metainfo'], **entry['fields']
                )
                for path, entry in state.items()
            }
        self._new_paths.clear()


def pack_entries(entries: Dict[str, InstanceData]) -> List[dict]:
    """Join the tensors of entries.

    A bank has tens of thousands of small tensors, which take seconds to pickle
    and to load one by one. Whole numbers, which are classes and codes, are
    stored in the smallest type that holds them.

    Args:
        entries (dict[str, :obj:`InstanceData`]): Entries by path, on the CPU.
            Their fields are tensors, their metainfo plain values or tensors.

    Returns:
        list[dict]: One for all entries of the same fields, types and shapes
        (of rows): ``paths``; ``lengths``, the number of rows of each entry;
        ``fields``, by name the rows of all entries and their type; and
        ``metainfo``, by name the values of all entries.
    """
    by_layout = defaultdict(list)
    for path in sorted(entries):
        by_layout[_layout(entries[path])].append(path)
    groups = []
    for paths in by_layout.values():
        members = [entries[path] for path in paths]
        groups.append(
            dict(
                paths=paths,
                lengths=[len(entry) for entry in members],
                fields={
                    name: _narrow(torch.cat([e[name] for e in members]))
                    for name in sorted(members[0].keys())
                },
                metainfo={
                    name: _join([e.get(name) for e in members])
                    for name in sorted(members[0].metainfo_keys())
                },
            )
        )
    return groups


def unpack_entries(groups: List[dict]) -> Dict[str, InstanceData]:
    """Undo :func:`pack_entries`. Entries share the memory of their group."""
    entries = {}
    for group in groups:
        fields = {
            name: rows.to(dtype).split(group['lengths'])
            for name, (rows, dtype) in group['fields'].items()
        }
        for index, path in enumerate(group['paths']):
            entries[path] = InstanceData(
                metainfo={
                    name: values[index]
                    for name, values in group['metainfo'].items()
                },
                **{name: parts[index] for name, parts in fields.items()},
            )
    return entries


def _layout(entry: InstanceData) -> tuple:
    """What entries must have in common so that they can be joined."""
    fields = [
        (name, rows.dtype, rows.shape[1:]) for name, rows in entry.items()
    ]
    metainfo = [
        (name, value.dtype, value.shape)
        if isinstance(value, Tensor)
        else (name, None, None)
        for name, value in entry.metainfo_items()
    ]
    # Names are unique: what follows them is not compared.
    return tuple(sorted(fields)), tuple(sorted(metainfo))


def _narrow(rows: Tensor) -> Tuple[Tensor, torch.dtype]:
    """Store int64 in the smallest type that holds it; return its own, too."""
    dtype = rows.dtype
    if dtype == torch.int64 and rows.numel() > 0:
        low, high = (int(value) for value in rows.aminmax())
        for small in (torch.int8, torch.int16, torch.int32):
            limits = torch.iinfo(small)
            if limits.min <= low and high <= limits.max:
                return rows.to(small), dtype
    return rows, dtype


def _join(values: list) -> Union[Tensor, list]:
    """Stack values that are tensors."""
    return torch.stack(values) if isinstance(values[0], Tensor) else values
