# Copyright (c) mmleuk authors. All rights reserved.
"""Processes that form a group, as those of a distributed training."""

import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

# Seconds that a collective waits for the other processes.
COLLECTIVE_TIMEOUT = 45


def run_processes(work, num_processes, folder, *args, timeout=240):
    """Call ``work(rank, *args)`` in each process of a gloo group.

    Args:
        work (callable): A function of a module that processes can import.
        num_processes (int): Number of processes.
        folder (Path): An empty folder.
        *args: More arguments of ``work``.
        timeout (float): Seconds after which all processes are ended.

    Returns:
        list: What the calls returned, by rank.

    Raises:
        TimeoutError: If not all processes have ended in time.
    """
    deadline = time.monotonic() + timeout
    context = mp.spawn(
        _work,
        (work, num_processes, str(folder), args),
        nprocs=num_processes,
        join=False,
    )
    try:
        while not context.join(timeout=1):
            if time.monotonic() > deadline:
                raise TimeoutError(f'not all processes ended in {timeout} s')
    finally:
        for process in context.processes:
            process.kill()
    return [
        torch.load(Path(folder) / f'{rank}.pth', weights_only=False)
        for rank in range(num_processes)
    ]


def _work(rank, work, num_processes, folder, args):
    """Join the group, work, and write down the result."""
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/group',
        rank=rank,
        world_size=num_processes,
        timeout=timedelta(seconds=COLLECTIVE_TIMEOUT),
    )
    torch.save(work(rank, *args), Path(folder) / f'{rank}.pth')
    dist.barrier()
    dist.destroy_process_group()
