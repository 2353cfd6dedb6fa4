"""errors.py: one line for what a user can mend, exit codes, and what counts as too little memory."""

import errno
import os
import signal

import numpy as np
import pytest
import torch

from pix2pix.errors import UserError, lacks_memory, run_script


def exit_of(main):
    with pytest.raises(SystemExit) as stop:
        run_script(main)
    return stop.value.code


def failing(error):
    def main():
        raise error

    return main


def test_the_exit_code_is_mains():
    assert [exit_of(lambda: None), exit_of(lambda: 0), exit_of(lambda: 1)] == [0, 0, 1]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("there is no a\nb.jpg"), "error: there is no a\\nb.jpg"),
        (OSError(errno.EACCES, "Permission denied", "out"), "error: Permission denied (out)"),
        (OSError(errno.ENOSPC, "No space left on device"), "free some space and run the same command again"),
        (MemoryError(), "error: this needs more memory than there is"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), "more memory"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_code_1(capsys, error, line):
    assert exit_of(failing(error)) == 1
    said = capsys.readouterr().err
    assert line in said and said.startswith("error: ") and said.count("\n") == 1


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("memory"), OSError("no number")])
def test_a_bug_stays_a_traceback(error):
    with pytest.raises(type(error), match=str(error)):
        run_script(failing(error))


def test_control_c_ends_with_130(capsys):
    assert exit_of(failing(KeyboardInterrupt())) == 130 and capsys.readouterr().err == "stopped\n"


def test_sigterm_ends_with_143_and_its_handler_is_put_back():
    def handler(number, frame):
        raise AssertionError

    before = signal.signal(signal.SIGTERM, handler)
    try:
        cleaned = []

        def main():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                cleaned.append(True)

        assert exit_of(main) == 143 and cleaned == [True]
        assert exit_of(failing(UserError("no"))) == 1
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((8,), np.dtype(float)) if hasattr(np, "_core") else MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        OSError("out of memory error when reading image file"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: not enough memory: you tried to"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
        RuntimeError("std::bad_alloc"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    ],
)
def test_errors_that_mean_too_little_memory(error):
    assert lacks_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's "
                     "workers are out of shared memory. Please try to raise your shared memory limit."),
        RuntimeError("unable to allocate shared memory(shm) for file </torch_7_1>: No space left on device (28)"),
        RuntimeError("pin_memory thread exited unexpectedly"),
        RuntimeError("input is not in a contiguous memory format"),
        OSError(errno.ENOENT, "No such file or directory", "memory.jpg"),
        OSError(errno.EACCES, "out of memory says a file's name"),
        ValueError("Decompressed data too large for PngImagePlugin.MAX_TEXT_MEMORY"),
    ],
)  # fmt: skip
def test_the_word_memory_alone_means_nothing(error):
    assert not lacks_memory(error)
