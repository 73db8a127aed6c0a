"""What is installed, and the floor plan that setup.cfg states for import-linter."""

import ast
import configparser
import importlib
import importlib.metadata
import json
import pkgutil
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import skinfluence
from tests.conftest import QUICK

ROOT = Path(__file__).parents[1]
PUBLIC_ROOMS = (
    "curvature",
    "inspection",
    "losses",
    "mechanisms",
    "models",
    "objectives",
    "solvers",
)
FILES = {"__main__", "typing"}
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


def floors():
    """Return the floors of setup.cfg from the top down, each the list of its rooms."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    layers = config["importlinter:contract:floors"]["layers"].split("\n")
    return [[room.strip() for room in layer.split("|")] for layer in layers if layer.strip()]


@pytest.fixture(scope="module")
def contracts():
    """Return {room: rooms it may not import}: those above and those beside it."""
    forbidden, above = {}, set()
    for floor in floors():
        above |= set(floor)
        forbidden |= {room: above - {room} for room in floor}
    return forbidden


@cache
def sources():
    """Return {path: syntax tree} of the package."""
    files = sorted((ROOT / "skinfluence").rglob("*.py"))
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}


def is_private(name):
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def private_names(tree):
    """Yield (line, name) of everything private that a module takes from another object or package.

    Imports of other packages, attributes, and names given to getattr and its kin as a string.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] != "skinfluence":
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "").endswith("attr"):
            names = [a.value for a in node.args if isinstance(a, ast.Constant)]
        else:
            continue
        yield from ((node.lineno, n) for n in names if isinstance(n, str) and is_private(n))


def names_defined(tree):
    """Yield the names that a module gives to what is its own."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield from [node.attr] if getattr(node.value, "id", None) in ("self", "cls") else ()


def private_uses(trees):
    """Return the lines that use what is private and not the package's own."""
    own = {name for tree in trees.values() for name in names_defined(tree)} | {"_getframe"}
    return [
        f"{path}:{line}: {name}"
        for path, tree in trees.items()
        for line, name in private_names(tree)
        if name not in own
    ]


def test_nothing_private_of_other_packages_is_used():
    """But for the trees of histogram gradient boosting, which nothing public shows."""
    path = ROOT / "skinfluence" / "adapters" / "hist_boosting.py"
    trees = sources()
    assert private_uses({p: tree for p, tree in trees.items() if p != path}) == []
    names = {name for _, name in private_names(trees[path])} - set(names_defined(trees[path]))
    assert names == {"_predictors", "_baseline_prediction"}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("from sklearn.linear_model._base import LinearModel", "_base"),
        ("import sklearn.utils._param_validation", "_param_validation"),
        ("from sklearn.utils import _safe_indexing", "_safe_indexing"),
        ("machine._dual_coef_ = 0", "_dual_coef_"),
        ("machine._BaseLibSVM__Xfit = 0", "_BaseLibSVM__Xfit"),
        ("setattr(machine, '_n_support', 0)", "_n_support"),
        (
            "class A(BaseEstimator):\n    def fit(self):\n        self._validate_params()",
            "_validate",
        ),
    ],
)
def test_private_names_would_be_found(line, name):
    found = private_uses({"module": ast.parse(line)})
    assert len(found) == 1 and name in found[0]


def test_no_base_of_a_class_is_taken():
    """``GridSearchCV.__bases__[0]`` is as private as its name."""
    for path, tree in sources().items():
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not names & {"__bases__", "__subclasses__"}, path


def test_metadata(distribution):
    assert distribution.version == skinfluence.__version__
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
    assert {"plot", "report", "test", "doc", "dev"} <= set(
        distribution.metadata.get_all("Provides-Extra")
    )
    assert set(requirements(distribution, "plot")) == {"matplotlib", "pandas"}
    assert set(requirements(distribution, "report")) == {"skinfluence", "Jinja2"}
    assert requirements(distribution, "report")["skinfluence"].extras == {"plot"}
    assert requirements(distribution, "command")["skinfluence"].extras == {"report"}
    assert requirements(distribution, "test")["skinfluence"].extras == {"command"}
    assert requirements(distribution, "doc")["skinfluence"].extras == {"report"}
    assert requirements(distribution, "dev")["skinfluence"].extras == {"test", "doc"}


def test_lower_bounds_are_the_pins_that_are_tested(distribution):
    lines = (ROOT / "tests" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    bounded = {}
    for extra in ("", "plot", "report"):
        bounded |= requirements(distribution, extra)
    bounded.pop("skinfluence")
    assert set(pins) == set(bounded)
    for name, requirement in bounded.items():
        (bound,) = requirement.specifier
        assert bound.operator == ">="
        assert f"{pins[name]}.".startswith(f"{bound.version}.")


@pytest.mark.parametrize(
    "name",
    ["py.typed", *(f"inspection/report/{n}" for n in ("template.html", "report.css", "report.js"))],
)
def test_files_that_are_no_modules_are_shipped(distribution, name):
    installed_from = json.loads(distribution.read_text("direct_url.json") or "{}")
    if installed_from.get("dir_info", {}).get("editable"):
        assert (Path(skinfluence.__file__).parent / name).is_file()
    else:
        assert f"skinfluence/{name}" in {str(file) for file in distribution.files}


IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import skinfluence
for module in pkgutil.walk_packages(skinfluence.__path__, "skinfluence."):
    importlib.import_module(module.name)
"""
NOT_INSTALLED = """
import importlib.metadata as metadata, sys
find = metadata.distribution
def missing(name):
    if name == "skinfluence":
        raise metadata.PackageNotFoundError(name)
    return find(name)
metadata.distribution = missing
sys.path.insert(0, sys.argv[1])
import skinfluence
print(skinfluence.__file__, skinfluence.__version__)
"""


def test_a_checkout_that_is_not_installed_is_imported(tmp_path):
    command = [sys.executable, "-c", NOT_INSTALLED, str(ROOT)]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert result.returncode == 0, result.stderr
    home, version = result.stdout.split()
    assert Path(home) == ROOT / "skinfluence" / "__init__.py"
    assert version == skinfluence.__version__


@pytest.mark.parametrize("name", ["", *PUBLIC_ROOMS])
def test_dir_shows_what_is_public(name):
    module = getattr(skinfluence, name) if name else skinfluence
    assert dir(module) == sorted(module.__all__)
    assert all(hasattr(module, public) for public in dir(module))
    assert name in dir(skinfluence) or not name


def test_nothing_is_printed_or_warned_of_when_modules_are_imported(tmp_path):
    command = [sys.executable, "-W", "error:::skinfluence", "-c", IMPORT_EVERYTHING, str(ROOT)]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_import_contract_holds():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_room_is_on_one_floor():
    rooms = [room for floor in floors() for room in floor]
    assert sorted(rooms) == sorted(ROOMS)


def test_nobody_may_import_the_estimators_but_the_command(contracts):
    above = {"__main__", "command"}
    assert contracts["__main__"] == set() and contracts["estimators"] == above
    assert all("estimators" in contracts[room] for room in ROOMS - {"estimators"} - above)


def test_the_command_is_installed(distribution):
    (script,) = distribution.entry_points
    assert (script.group, script.name) == ("console_scripts", "skinfluence")
    assert script.load() is importlib.import_module("skinfluence.command").main


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


def test_the_way_in_names_files_that_are_there():
    page = (ROOT / "CONTRIBUTING.rst").read_text(encoding="utf-8")
    for path in re.findall(
        r"``((?:skinfluence|tests|doc|\.ci)/[\w./]*|[A-Z]+\.rst|setup\.cfg)``", page
    ):
        assert (ROOT / path).exists(), path
    rooms = re.findall(r"^([a-z]+)  +[a-zA-Z]", page.split("The floor plan")[1], re.M)
    assert rooms == [room for floor in floors() for room in floor if room not in FILES]


def test_files_for_the_forge_are_what_they_should_be():
    yaml = pytest.importorskip("yaml")
    for path in [*(ROOT / ".github").rglob("*.yml"), ROOT / "CITATION.cff"]:
        assert yaml.safe_load(path.read_text(encoding="utf-8")), path
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["license"] == "BSD-3-Clause"
    flow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    job = flow["jobs"]["gate"]
    (stages,) = re.findall(r'^stages="(.*)"$', (ROOT / ".ci/run").read_text(), re.M)
    assert job["strategy"]["matrix"]["stage"] == stages.split()
    assert job["steps"][-1]["run"] == ".ci/run ${{ matrix.stage }}"
    for form in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        known = yaml.safe_load(form.read_text(encoding="utf-8"))
        assert form.stem == "config" or {"name", "description", "body"} <= set(known)


def test_quick_tests_are_there_and_touch_every_room():
    for path, names in QUICK.items():
        source = (ROOT / "tests" / path).read_text(encoding="utf-8")
        assert all(f"def {name}(" in source for name in names), path
    rooms = {path.split("/")[0] for path in QUICK} | FILES
    assert rooms == ROOMS


@pytest.mark.parametrize("name", ["quickstart", "tests"])
def test_readme_marks_its_commands(name):
    readme = (ROOT / "README.rst").read_text(encoding="utf-8")
    marked = re.findall(rf"^\.\. ci: {name}\n\n\.\. code-block:: bash\n\n +\S", readme, re.M)
    assert len(marked) == 1


def test_readme_has_no_other_marked_command():
    readme = (ROOT / "README.rst").read_text(encoding="utf-8")
    assert len(re.findall(r"^\.\. ci:", readme, re.M)) == 2
