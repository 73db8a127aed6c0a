"""What is installed, and the floor plan that setup.cfg states for import-linter."""

import configparser
import importlib.metadata
import json
import pkgutil
import re
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import skinfluence

ROOT = Path(__file__).parents[1]
ROOMS = {module.name for module in pkgutil.iter_modules(skinfluence.__path__)}


@pytest.fixture(scope="module")
def distribution():
    return importlib.metadata.distribution("skinfluence")


def requirements(distribution, extra):
    """Return {name: requirement} of an extra, or of the plain package for ``extra=""``."""
    everything = [Requirement(line) for line in distribution.requires]
    if extra:
        chosen = [r for r in everything if r.marker and r.marker.evaluate({"extra": extra})]
    else:
        chosen = [r for r in everything if r.marker is None]
    return {requirement.name: requirement for requirement in chosen}


def lint_imports(folder):
    """Check the contract of ``folder/setup.cfg`` on ``folder/skinfluence``, from any folder."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--config=setup.cfg",
            "--no-cache",
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="module")
def contracts():
    """Return {room: rooms it may not import}, from setup.cfg."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    prefix = "importlinter:contract:"
    sections = {
        name.removeprefix(prefix): section
        for name, section in config.items()
        if name.startswith(prefix) and name != prefix + "front-door"
    }
    for room, section in sections.items():
        assert section["source_modules"] == f"skinfluence.{room}"
    return {
        room: {name.removeprefix("skinfluence.") for name in section["forbidden_modules"].split()}
        for room, section in sections.items()
    }


def test_metadata(distribution):
    assert distribution.metadata["License-Expression"] == "BSD-3-Clause"
    assert distribution.metadata["Requires-Python"] == ">=3.11"
    assert distribution.metadata["Description-Content-Type"] == "text/x-rst"


def test_requirements_and_extras(distribution):
    required = requirements(distribution, extra="")
    assert set(required) == {
        "numpy",
        "scipy",
        "scikit-learn",
        "joblib",
        "threadpoolctl",
        "autograd",
    }
    assert {"plot", "test", "doc", "dev"} <= set(distribution.metadata.get_all("Provides-Extra"))
    assert set(requirements(distribution, "plot")) == {"matplotlib", "pandas"}
    assert requirements(distribution, "test")["skinfluence"].extras == {"plot"}
    assert requirements(distribution, "doc")["skinfluence"].extras == {"plot"}
    assert requirements(distribution, "dev")["skinfluence"].extras == {"test", "doc"}


def test_lower_bounds_are_the_pins_that_are_tested(distribution):
    lines = (ROOT / "tests" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    bounded = requirements(distribution, extra="") | requirements(distribution, "plot")
    assert set(pins) == set(bounded)
    for name, requirement in bounded.items():
        (bound,) = requirement.specifier
        assert bound.operator == ">="
        assert f"{pins[name]}.".startswith(f"{bound.version}.")


def test_type_information_is_shipped(distribution):
    installed_from = json.loads(distribution.read_text("direct_url.json") or "{}")
    if installed_from.get("dir_info", {}).get("editable"):
        assert (Path(skinfluence.__file__).parent / "py.typed").is_file()
    else:
        assert "skinfluence/py.typed" in {str(file) for file in distribution.files}


def test_import_contract_holds():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_room_has_a_contract(contracts):
    assert set(contracts) | {"estimators"} == ROOMS
    assert set().union(*contracts.values()) <= ROOMS
    for one, other in combinations(sorted(ROOMS), 2):
        assert one in contracts.get(other, ()) or other in contracts.get(one, ()), (
            f"{one} and {other} may import each other: forbid one direction in setup.cfg"
        )


def test_nobody_may_import_the_estimators(contracts):
    assert all("estimators" in forbidden for forbidden in contracts.values())


def test_import_contract_notices_every_trespass(contracts, tmp_path):
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    shutil.copytree(
        ROOT / "skinfluence",
        tmp_path / "skinfluence",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    trespasses = set()
    for room in contracts:
        folder = tmp_path / "skinfluence" / room
        module = folder / "trespass.py" if folder.is_dir() else folder.with_suffix(".py")
        with module.open("a", encoding="utf-8") as source:
            for forbidden in contracts[room]:
                source.write(f"\nimport skinfluence.{forbidden}\n")
                trespasses.add((f"skinfluence.{room}", f"skinfluence.{forbidden}"))
            source.write("\nfrom skinfluence import InfluenceClassifier\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    noticed = set(re.findall(r"(\S+) is not allowed to import (\S+):", result.stdout))
    assert trespasses <= noticed
    at_the_front_door = {importer for importer, imported in noticed if imported == "skinfluence"}
    assert len(at_the_front_door) == len(contracts)


@pytest.mark.parametrize("name", ["quickstart", "tests"])
def test_readme_marks_its_commands(name):
    readme = (ROOT / "README.rst").read_text(encoding="utf-8")
    marked = re.findall(rf"^\.\. ci: {name}\n\n\.\. code-block:: bash\n\n +\S", readme, re.M)
    assert len(marked) == 1


def test_readme_has_no_other_marked_command():
    readme = (ROOT / "README.rst").read_text(encoding="utf-8")
    assert len(re.findall(r"^\.\. ci:", readme, re.M)) == 2
