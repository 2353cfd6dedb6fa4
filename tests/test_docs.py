"""The documents against the code: links, flags, Python blocks, diffs and spelling."""

import contextlib
import functools
import io
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])
CURRENT = [
    path for path in DOCUMENTS if path.name not in ("experiments.md", "CHANGELOG.md")
]  # those two tell of the past
PATTERNS = ("*.py", "pix2pix/**/*.py", "tests/**/*.py", "benchmarks/*.py", "docs/*.py", "examples/*.py")
SOURCES = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))
COMMANDS = ("train.py", "evaluate.py", "colorize.py")
STEMS = ("normal", "synchron", "initial", "equal", "optim", "recogn", "minim", "maxim")
BRITISH = (
    "colour",
    "grey",
    "favourit",
    "behaviour",
    "honour",
    "neighbour",
    *(f"{s}is{e}" for s in STEMS for e in "eai"),
)


@functools.cache
def flags_of(script):
    """The flags that a script's --help names."""
    output = io.StringIO()
    arguments = mock.patch.object(sys, "argv", [script, "--help"])
    with arguments, contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / script), run_name="__main__")
    _, options = output.getvalue().split("\noptions:\n")
    heads = [line for line in options.splitlines() if re.match(r"  -", line)]
    return {flag for head in heads for flag in re.findall(r"(?<![\w-])--?[a-z][\w-]*", head)}


def blocks(document, language):
    """The fenced blocks of a document in a language; "" is a block without one."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands_in(document):
    """(script, words) of every command line of the three scripts, in blocks and in single backquotes."""
    text = document.read_text(encoding="utf-8")
    lines = [line for block in blocks(document, "") for line in block.splitlines()]
    for line in lines + re.findall(r"`([^`\n]+)`", text):
        for script in COMMANDS:
            found = re.search(rf"(?:python|torchrun[^&|]*?) {script}((?: .*)?)$", line)
            if found:
                yield script, shlex.split(found[1], comments=True)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_local_link_and_picture_is_there(document):
    targets = re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8"))
    local = [target.split("#")[0] for target in targets if "://" not in target and not target.startswith("#")]
    assert [target for target in local if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", CURRENT, ids=lambda path: path.name)
def test_command_lines_use_flags_that_exist(document):
    for script, words in commands_in(document):
        used = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= flags_of(script), f"{document.name}: {script} {shlex.join(words)}"


def test_training_document_names_every_flag_and_no_other():
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    table = text.split("\n## Flags\n")[1].split("\n## ")[0].splitlines()
    named = " ".join(line.split("|")[1] for line in table if line.startswith("| `"))
    assert set(re.findall(r"--[a-z][\w-]*", named)) == flags_of("train.py") - {"-h", "--help"}


@pytest.mark.parametrize("document", CURRENT, ids=lambda path: path.name)
def test_python_blocks_compile(document):
    for number, block in enumerate(blocks(document, "python"), start=1):
        compile(block, f"{document.name}, block {number}", "exec")


def test_readme_is_short_and_has_the_two_commands_of_a_fresh_machine():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 140
    assert lines.count("pip install -e . && python colorize.py docs/example.jpg") == 1
    assert lines.count('pip install -e ".[test]" && python -m pytest') == 1
    assert "<!-- results of the shipped weights -->" in lines and "<!-- end of results -->" in lines


def test_diffs_of_the_extending_document_apply():
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("needs a git clone")
    diffs = blocks(ROOT / "docs" / "extending.md", "diff")
    assert len(diffs) >= 4
    for number, diff in enumerate(diffs, start=1):
        check = ["git", "apply", "--check", "-"]
        result = subprocess.run(check, cwd=ROOT, input=diff, capture_output=True, text=True, timeout=30)
        assert result.returncode == 0, f"diff {number}: {result.stderr}"


def test_spelling_is_american():
    found = []
    for path in [*DOCUMENTS, *SOURCES]:
        text = path.read_text(encoding="utf-8").lower()
        found += [f"{path.relative_to(ROOT)}: {word}" for word in BRITISH if word in text and path != Path(__file__)]
    assert found == []
