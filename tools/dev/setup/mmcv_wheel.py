# Copyright (c) mmleuk authors. All rights reserved.
"""Builds mmcv with its compiled ops in minutes and keeps the wheel.

Nearly all of the compiler's work on mmcv is parsing torch's headers, the same
ones in each of its files. With those headers precompiled and without debug
symbols the build takes a sixth of the time.

The released sources do not build on every Python and torch of today. What
stops them is mended in the unpacked source, see ``MENDS``.

PyPI has no wheel of mmcv, and the name of a wheel does not tell which torch
it was built for. So wheels are kept in a folder that names everything they
depend on, and pip's own cache, which does not, is left out.
"""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = runpy.run_path(str(ROOT / 'mmleuk' / 'environment.py'))

# Optimised, without debug symbols: the wheel shrinks from 32 MB to 1.4 MB.
COMPILE_FLAGS = '-O2 -g0'
# What torch.utils.cpp_extension and mmcv's setup.py add to every C++ file. A
# compiler uses a precompiled header only under the flags that it was made
# with; under others it says so (-Winvalid-pch) and parses as always.
EXTENSION_FLAGS = [
    '-DTORCH_API_INCLUDE_EXTENSION_H',
    '-DTORCH_EXTENSION_NAME=_ext',
]
# A larger header (torch/extension.h) takes longer to load than it saves.
PRECOMPILED_INCLUDE = '#include <torch/types.h>\n'
# One compiler process needs about this much memory.
BYTES_PER_JOB = 2 * 2**30
# Headers of torch from this version on refuse C++17.
FIRST_TORCH_OF_CXX20 = (2, 14)

DESCRIBE_TORCH = """
import json, torch
from torch.utils import cpp_extension
print(json.dumps(dict(
    version=torch.__version__,
    abi=int(torch._C._GLIBCXX_USE_CXX11_ABI),
    cuda=torch.version.cuda,
    gpu=torch.cuda.is_available(),
    cuda_home=cpp_extension.CUDA_HOME,
    include_paths=cpp_extension.include_paths())))
"""

# The flags that setuptools hands to torch's build, CFLAGS among them.
DESCRIBE_COMPILER = """
import json, setuptools
from distutils.ccompiler import new_compiler
from distutils.sysconfig import customize_compiler
compiler = new_compiler()
customize_compiler(compiler)
print(json.dumps(compiler.compiler_so[1:]))
"""

# Loads the ops and runs two of them; prints nothing when all is well.
VERIFY_OPS = """
import os
import torch
from mmcv.ops import get_compiling_cuda_version, nms, roi_align
devices = ['cpu']
if torch.cuda.is_available():
    devices.append('cuda')
if 'cuda' in devices or os.environ.get('FORCE_CUDA', '0') == '1':
    if get_compiling_cuda_version() == 'not available':
        raise ImportError('mmcv.ops was built without GPU support')
for device in devices:
    boxes = torch.tensor([[0., 0., 4., 4.], [0., 0., 4., 3.9]], device=device)
    _, kept = nms(boxes, torch.tensor([.9, .8], device=device), 0.5)
    if kept.tolist() != [0]:
        raise ImportError(f'nms of mmcv.ops keeps {kept.tolist()}, not [0]')
    rois = torch.tensor([[0., 0., 0., 4., 4.]], device=device)
    pooled = roi_align(torch.ones(1, 1, 8, 8, device=device), rois, 2)
    if pooled.tolist() != [[[[1., 1.], [1., 1.]]]]:
        raise ImportError(f'roi_align of mmcv.ops gives {pooled.tolist()}')
"""


class SetupError(Exception):
    """Ends the set-up; its text says what is wrong and how to fix it."""


def cxx_standard(torch: Dict) -> str:
    """Name the C++ standard that the headers of a torch need.

    Args:
        torch (dict): As from :func:`describe_torch`.

    Returns:
        str: ``c++17`` or ``c++20``.
    """
    version = ENVIRONMENT['parse_version'](torch['version'])
    return 'c++20' if version >= FIRST_TORCH_OF_CXX20 else 'c++17'


class Mend(NamedTuple):
    """A change without which a released source of mmcv does not build.

    Args:
        name (str): Distribution.
        file (str): File in its source.
        old (str): Text to replace, wherever it stands.
        new (str): Text in its place.
        reason (str): What fails without.
        upstream (str): Where upstream discusses it. The mend goes when the
            pinned version has it.
        is_needed (callable): Tells it from the torch that
            :func:`describe_torch` describes.
    """

    name: str
    file: str
    old: str
    new: str
    reason: str
    upstream: str
    is_needed: Callable[[Dict], bool]


MENDS = [
    Mend(
        'mmcv',
        'setup.py',
        "        exec(compile(f.read(), version_file, 'exec'))\n"
        "    return locals()['__version__']\n",
        '        scope = {}\n'
        "        exec(compile(f.read(), version_file, 'exec'), scope)\n"
        "    return scope['__version__']\n",
        'exec() no longer fills locals() in Python 3.13',
        # mmengine has the same lines; no issue of mmcv names them.
        'open-mmlab/mmengine#1616, python/cpython#118888',
        lambda torch: sys.version_info >= (3, 13),
    ),
    *(
        Mend(
            name,
            'setup.py',
            '-std=c++17',
            '-std=c++20',
            'headers of torch 2.14 and later need C++20',
            'open-mmlab/mmcv#3341, pytorch/pytorch#178150',
            lambda torch: cxx_standard(torch) == 'c++20',
        )
        for name in ('mmcv', 'onedl-mmcv')
    ),
]


def cxx_compiler() -> str:
    """Find the C++ compiler that torch's build will call.

    Returns:
        str: Command of the compiler.

    Raises:
        SetupError: If there is no C++ compiler or Python's headers are
            missing.
    """
    # torch.utils.cpp_extension calls the same.
    compiler = os.environ.get('CXX', 'c++')
    if shutil.which(shlex.split(compiler)[0]) is None:
        raise SetupError(
            f'No C++ compiler is here (looked for {compiler!r}), and mmcv '
            'has to be compiled: install one (Debian and Ubuntu: "apt '
            'install g++"; Fedora: "dnf install gcc-c++"; conda: "conda '
            'install -c conda-forge cxx-compiler"), or name yours in CXX.'
        )
    header = Path(sysconfig.get_path('include')) / 'Python.h'
    if not header.is_file():
        raise SetupError(
            f"Python's headers are missing (no {header}), and mmcv has to be "
            'compiled: install them (Debian and Ubuntu: "apt install '
            f'python3.{sys.version_info[1]}-dev"; Fedora: "dnf install '
            'python3-devel").'
        )
    return compiler


def describe_torch() -> Dict:
    """Describe the torch of this environment.

    Returns:
        dict: ``version``, ``abi`` (C++ ABI), ``cuda`` (version or None),
        ``gpu`` (whether one is usable), ``cuda_home``, ``include_paths``.
    """
    # In a process of its own: this one may be about to replace torch.
    output = subprocess.run(
        # torch warns where numpy is still to come.
        [sys.executable, '-W', 'ignore', '-c', DESCRIBE_TORCH],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return json.loads(output)


def error_of(code: str) -> Optional[str]:
    """Run code in a Python of its own.

    Args:
        code (str): What to run.

    Returns:
        str | None: The last line of the error, or None without one.
    """
    result = subprocess.run(
        [sys.executable, '-c', code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode == 0:
        return None
    lines = result.stdout.strip().splitlines()
    return lines[-1] if lines else f'it ended with {result.returncode}'


def verify_ops() -> Optional[str]:
    """Load mmcv's ops and run two of them, on the GPU too where one is.

    Returns:
        str | None: The last line of the error, or None when they work.
    """
    return error_of(VERIFY_OPS)


def gpu_ops_are_forced() -> bool:
    """Tell whether mmcv is to have CUDA kernels also where no GPU is seen.

    mmcv's set-up reads the same variable.
    """
    return os.environ.get('FORCE_CUDA', '0') == '1'


def with_gpu_ops(torch: Dict) -> bool:
    """Tell whether mmcv's set-up will compile its CUDA kernels."""
    return bool(torch['cuda']) and (torch['gpu'] or gpu_ops_are_forced())


def find_cuda_toolkit(torch: Dict) -> Path:
    """Find the CUDA toolkit that compiles for a torch.

    Args:
        torch (dict): As from :func:`describe_torch`.

    Returns:
        Path: Its folder: that of CUDA_HOME, or the first with nvcc and the
        headers, as an nvcc on PATH may be a script beside no headers.

    Raises:
        SetupError: If there is none, or it is of another CUDA than torch.
    """
    cuda = torch['cuda']
    hint = (
        f'install the CUDA toolkit {cuda} and name its folder in CUDA_HOME, '
        'or take a torch for the CPU with TORCH_BUILD=cpu'
    )
    if os.environ.get('CUDA_HOME'):
        folders = [os.environ['CUDA_HOME']]
        needed = ['bin/nvcc']
    else:
        nvcc = shutil.which('nvcc')
        folders = [torch['cuda_home'], '/usr/local/cuda']
        if nvcc is not None:
            folders.insert(1, str(Path(nvcc).resolve().parents[1]))
        needed = ['bin/nvcc', 'include/cuda_runtime.h']
    found = [
        Path(folder)
        for folder in folders
        if folder and all((Path(folder) / name).is_file() for name in needed)
    ]
    if not found:
        places = ', '.join(dict.fromkeys(filter(None, folders)))
        raise SetupError(
            f'torch {torch["version"]} uses CUDA {cuda}, so the CUDA kernels '
            f'of mmcv have to be compiled, and there is no nvcc (looked for '
            f'{" and ".join(needed)} in {places}): {hint}.'
        )
    nvcc = found[0] / 'bin' / 'nvcc'
    answer = subprocess.run(
        [str(nvcc), '--version'],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout
    release = re.search(r'release (\d+)\.(\d+)', answer)
    if release is None or release[1] != cuda.split('.')[0]:
        version = release[0] if release else answer.strip()[:200]
        raise SetupError(
            f'{nvcc} is of {version}, and torch {torch["version"]} was built '
            f'with CUDA {cuda}, which can not be mixed: {hint}.'
        )
    return found[0]


def cuda_library_headers(toolkit: Path) -> List[str]:
    """List folders with the headers of CUDA's libraries.

    torch's own headers include those of cuBLAS, cuSPARSE and cuSOLVER. A
    toolkit may come without them; NVIDIA's packages, which PyPI's torch
    needs, have them.

    Args:
        toolkit (Path): Folder of the CUDA toolkit.

    Returns:
        list[str]: Folders, none if the toolkit has them.
    """
    if (toolkit / 'include' / 'cublas_v2.h').is_file():
        return []
    packages = Path(sysconfig.get_path('purelib')) / 'nvidia'
    return [str(folder) for folder in sorted(packages.glob('*/include'))]


def build_environment(torch: Dict) -> Dict[str, str]:
    """Make the environment variables of the build of mmcv.

    Args:
        torch (dict): As from :func:`describe_torch`.

    Returns:
        dict[str, str]: Those of this process, with what is added.

    Raises:
        SetupError: If the CUDA toolkit is needed and missing.
    """
    environment = dict(os.environ, MMCV_WITH_OPS='1')
    environment.setdefault('MAX_JOBS', str(job_count()))
    environment['CFLAGS'] = ' '.join(
        filter(None, [os.environ.get('CFLAGS'), COMPILE_FLAGS])
    )
    if with_gpu_ops(torch):
        toolkit = find_cuda_toolkit(torch)
        environment['CUDA_HOME'] = str(toolkit)
        # Searched last, so the toolkit's own headers are found first.
        headers = [os.environ.get('CPATH'), *cuda_library_headers(toolkit)]
        environment['CPATH'] = os.pathsep.join(filter(None, headers))
    return environment


def kept_folder(root: Path, torch: Dict) -> Path:
    """Name the folder of the wheels that fit this Python and this torch.

    Args:
        root (Path): Folder of all kept wheels.
        torch (dict): As from :func:`describe_torch`.

    Returns:
        Path: E.g. ``.wheels/cp311-linux-x86_64_torch-2.13.0+cpu-abi1_cpu``.
    """
    platform = sysconfig.get_platform()
    python = f'{sys.implementation.name[0]}p{sys.version_info[0]}'
    python += f'{sys.version_info[1]}-{platform}'
    ops = f'cuda-{torch["cuda"]}' if with_gpu_ops(torch) else 'cpu'
    return root / f'{python}_torch-{torch["version"]}-abi{torch["abi"]}_{ops}'


def kept_wheel(folder: Path, requirement: str) -> Optional[Path]:
    """Find a kept wheel of ``name==version`` in a folder.

    Returns:
        Path | None: The wheel, or None when none was kept.
    """
    name, version = requirement.split('==')
    pattern = f'{name.replace("-", "_")}-{version}-*.whl'
    return next(iter(sorted(folder.glob(pattern))), None)


def precompile_header(
    folder: Path, compiler: str, torch: Dict, environment: Dict[str, str]
) -> Optional[Path]:
    """Precompile torch's headers.

    Args:
        folder (Path): Where the header goes.
        compiler (str): Command of the C++ compiler.
        torch (dict): As from :func:`describe_torch`.
        environment (dict): Variables of the build that will use it.

    Returns:
        Path | None: The header to include into each file, or None when this
        compiler can make none; the build works without, only longer.
    """
    flags = json.loads(
        subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', DESCRIBE_COMPILER],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    )
    header = folder / 'torch_types.h'
    header.write_text(PRECOMPILED_INCLUDE)
    includes = [*torch['include_paths'], sysconfig.get_path('include')]
    command = [
        *shlex.split(compiler),
        *flags,
        *(f'-I{path}' for path in includes),
        f'-std={cxx_standard(torch)}',
        *EXTENSION_FLAGS,
        '-x',
        'c++-header',
        str(header),
        '-o',
        f'{header}.gch',
    ]
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if result.returncode:
        print(
            f'  {compiler} can not precompile headers, so the build will '
            'take about five times longer:\n'
            + '\n'.join(f'    {x}' for x in result.stdout.splitlines()[:3])
        )
        return None
    return header


def job_count() -> int:
    """Choose how many files to compile at a time.

    Returns:
        int: The usable cores, fewer where memory is short.
    """
    if hasattr(os, 'sched_getaffinity'):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return max(1, min(cores, int(memory / BYTES_PER_JOB)))


def build_errors(log: Path, count: int = 3) -> str:
    """Return the lines of a build's log that say why it failed.

    Args:
        log (Path): The log.
        count (int): How many lines at most.

    Returns:
        str: The first errors of the compiler, else of the linker, else the
        last exception of Python, else the last lines.
    """
    lines = [
        line.strip()
        for line in log.read_text(errors='replace').splitlines()
        if line.strip()
    ]
    kinds = [
        r'^\S+:? (fatal )?error\s*: ',
        r'\bld(\.\w+)?: ',
        r'^(\w+\.)*\w*(Error|Exception|Interrupt)\b(?!.*subprocess)',
    ]
    named = [[line for line in lines if re.search(x, line)] for x in kinds]
    chosen = named[0][:count] or named[1][:count] or named[2][-1:]
    chosen = chosen or lines[-count:]
    return '\n'.join(f'    {line[:300]}' for line in chosen)


# What a line of an error tells, and what helps.
BUILD_HINTS = {
    r'Killed|memory exhausted|cannot allocate memory': (
        'the compiler ran out of memory: run it again with MAX_JOBS=1'
    ),
    r'No space left on device': (
        'free some disk space, or name a folder with more in TMPDIR'
    ),
    r'c\+\+20': (
        'this compiler is too old for the C++20 that torch needs: install '
        'g++ 10 or newer and name it as in CXX=g++-12, or take an older '
        'torch with TORCH_VERSION=2.13.0'
    ),
    r'cannot find -l|cannot find \S+\.so': (
        'install the library that the linker misses'
    ),
}


def build_hint(errors: str) -> str:
    """Say what helps against the errors of a build."""
    for pattern, hint in BUILD_HINTS.items():
        if re.search(pattern, errors, re.IGNORECASE):
            return hint
    return (
        'install what the errors name, or take a Python and a torch that '
        'docs/installation.md lists as tested'
    )


class Progress:
    """Shows ``n of N files`` as ninja reports them.

    On a terminal one line is rewritten; elsewhere there is a line for the
    first and the last file, and one every ``INTERVAL`` seconds.
    """

    INTERVAL = 15

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.terminal = sys.stdout.isatty()
        self.next_line = 0.0

    def feed(self, line: str) -> None:
        """Take one line of output.

        Args:
            line (str): Any line; only those of ninja count.
        """
        match = re.match(r'\s*\[(\d+)/(\d+)\]', line)
        if not match:
            return
        done, total = int(match[1]), int(match[2])
        seconds = time.monotonic() - self.start
        if not self.terminal and done != total and seconds < self.next_line:
            return
        self.next_line = seconds + self.INTERVAL
        left = seconds / done * (total - done)
        text = (
            f'  {done:3d} of {total} files, {seconds / 60:.1f} minutes, '
            f'about {left / 60:.1f} left'
        )
        end = '\n' if not self.terminal or done == total else ''
        start = '\r' if self.terminal else ''
        print(f'{start}{text}', end=end, flush=True)


def unpack_source(
    requirement: str, folder: Path, pip_arguments: List[str]
) -> Path:
    """Download and unpack the source distribution of mmcv.

    pip runs the set-up of a source as soon as it has it, which fails where
    the source needs a mend, and can be told to leave the source there.

    Args:
        requirement (str): ``mmcv==2.1.0`` or ``onedl-mmcv==2.3.6``.
        folder (Path): An empty folder.
        pip_arguments (list[str]): Command line of pip, up to its verb.

    Returns:
        Path: The folder with ``setup.py``.

    Raises:
        SetupError: If pip finds no source.
    """
    command = [
        *pip_arguments,
        'download',
        '--quiet',
        '--no-deps',
        '--no-build-isolation',
        '--no-cache-dir',
        '--no-clean',
        '--no-binary',
        requirement.split('==')[0],
        '--dest',
        str(folder / 'download'),
        requirement,
    ]
    result = subprocess.run(
        command,
        env=dict(os.environ, TMPDIR=str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    found = sorted(folder.glob('pip-*/*/setup.py'))
    if len(found) != 1:
        last = '\n'.join(result.stdout.strip().splitlines()[-5:])
        raise SetupError(
            f'The source of {requirement} could not be downloaded, pip said\n'
            f'{last}\nCheck the network, or set PIP_FIND_LINKS to a folder '
            'with its source distribution or with a ready wheel.'
        )
    return found[0].parent


def mend_source(source: Path, requirement: str, torch: Dict) -> List[Mend]:
    """Apply the mends that a source needs on this Python for a torch.

    Args:
        source (Path): From :func:`unpack_source`, changed in place.
        requirement (str): ``mmcv==2.1.0`` or ``onedl-mmcv==2.3.6``.
        torch (dict): As from :func:`describe_torch`; its version is read.

    Returns:
        list[Mend]: Those applied; one that the source has already is none.

    Raises:
        SetupError: If the source has neither the text that a needed mend
            replaces nor the mended one.
    """
    applied = []
    for mend in MENDS:
        if mend.name != requirement.split('==')[0]:
            continue
        if not mend.is_needed(torch):
            continue
        file = source / mend.file
        text = file.read_text(encoding='utf-8')
        if mend.old in text:
            file.write_text(text.replace(mend.old, mend.new), encoding='utf-8')
            applied.append(mend)
        elif mend.new not in text:
            raise SetupError(
                f'{mend.file} of {requirement} has changed: it should hold\n'
                f'{mend.old.rstrip()}\nwhich has to be mended '
                f'({mend.reason}; {mend.upstream}). Adapt this entry of MENDS '
                f'in {__file__}, or remove it if that source builds without.'
            )
    return applied


def build_wheel(
    requirement: str, folder: Path, torch: Dict, pip_arguments: List[str]
) -> Path:
    """Build a wheel of mmcv from its source distribution.

    Args:
        requirement (str): ``mmcv==2.1.0`` or ``onedl-mmcv==2.3.6``.
        folder (Path): Where the wheel goes, from :func:`kept_folder`.
        torch (dict): As from :func:`describe_torch`.
        pip_arguments (list[str]): Command line of pip, up to its verb.

    Returns:
        Path: The wheel.

    Raises:
        SetupError: If something to build with is missing or a file does not
            compile.
    """
    compiler = cxx_compiler()
    environment = build_environment(torch)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f'{requirement.replace("==", "-")}.log'
    with tempfile.TemporaryDirectory(prefix='mmleuk-mmcv-') as temporary:
        print("  precompiling torch's headers", flush=True)
        header = precompile_header(
            Path(temporary), compiler, torch, environment
        )
        if header is not None:
            environment['CFLAGS'] += f' -Winvalid-pch -include {header}'
        unpacked = Path(temporary) / 'source'
        unpacked.mkdir()
        source = unpack_source(requirement, unpacked, pip_arguments)
        for mend in mend_source(source, requirement, torch):
            print(
                f'  mended {mend.file} of {requirement}: {mend.reason} '
                f'({mend.upstream})'
            )
        fresh = Path(temporary) / 'wheel'
        command = [
            *pip_arguments,
            'wheel',
            '--verbose',
            '--no-deps',
            '--no-build-isolation',
            # pip's cache would hand out a wheel of another torch.
            '--no-cache-dir',
            '--wheel-dir',
            str(fresh),
            str(source),
        ]
        jobs = environment['MAX_JOBS']
        print(f'  {jobs} files at a time; the log is {log}', flush=True)
        progress = Progress()
        unused_header = 0
        with open(log, 'w', encoding='utf-8') as file:
            process = subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors='replace',
            )
            for line in process.stdout:
                file.write(line)
                progress.feed(line)
                unused_header += '-Winvalid-pch]' in line
        if process.wait():
            errors = build_errors(log)
            raise SetupError(
                f'{requirement} could not be built for torch '
                f'{torch["version"]}:\n{errors}\n'
                f'What may help: {build_hint(errors)}. The whole log is {log}.'
            )
        if unused_header:
            print(
                f'  {unused_header} times the compiler could not use the '
                'precompiled header: the build took longer than it should'
            )
        wheel = kept_wheel(fresh, requirement)
        if wheel is None:
            raise SetupError(
                f'pip built {sorted(x.name for x in fresh.iterdir())} '
                f'for {requirement}, expected a wheel of that version.'
            )
        # In one step under its name: a build that was cut short leaves none.
        partial = folder / f'{wheel.name}.partial'
        shutil.copy(wheel, partial)
        kept = folder / wheel.name
        os.replace(partial, kept)
    return kept
