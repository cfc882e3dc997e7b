# Copyright (c) mmleuk authors. All rights reserved.
from collections import deque
from typing import Deque, Optional

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmleuk.engine.atomic_backend import ATOMIC_BACKEND
from mmleuk.registry import HOOKS


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """A ``CheckpointHook`` that never leaves a training without a checkpoint.

    MMEngine removes the oldest checkpoint before it writes the next one under
    its final name: a killed process or a full disk leaves an incomplete file,
    or with ``max_keep_ckpts=1`` no checkpoint at all. Here a checkpoint gets
    its name when it is complete, and then the oldest one is removed. Until
    then the disk must hold one more.

    Files are written by :class:`AtomicBackend`, unless ``backend_args`` or a
    remote ``out_dir`` choose another backend.
    """

    backend_args: Optional[dict]
    max_keep_ckpts: int
    keep_ckpt_ids: Deque[int]

    def before_train(self, runner: Runner) -> None:
        """Choose the backend before the parent uses it."""
        out_dir = self.out_dir or runner.work_dir
        if self.backend_args is None and '://' not in str(out_dir):
            self.backend_args = dict(backend=ATOMIC_BACKEND)
        super().before_train(runner)

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict
    ) -> None:
        """Save a checkpoint, then remove the outdated ones."""
        num_kept, self.max_keep_ckpts = self.max_keep_ckpts, -1
        outdated: Deque[int] = deque()
        if num_kept > 0:
            if step not in self.keep_ckpt_ids:
                self.keep_ckpt_ids = deque([*self.keep_ckpt_ids, step])
            while len(self.keep_ckpt_ids) > num_kept:
                outdated.append(self.keep_ckpt_ids.popleft())
            runner.message_hub.update_info(
                'keep_ckpt_ids', list(self.keep_ckpt_ids)
            )
        try:
            super()._save_checkpoint_with_step(runner, step, meta)
        finally:
            self.max_keep_ckpts = num_kept
        if not is_main_process():
            return
        for old in outdated:
            path = self.file_backend.join_path(
                self.out_dir, self.filename_tmpl.format(old)
            )
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
            elif self.file_backend.isdir(path):
                # Checkpoints of DeepSpeed are folders.
                self.file_backend.rmtree(path)
