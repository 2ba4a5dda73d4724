"""`pip install .` works without the checkout: from any directory, with its configuration."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PARTS = ("er", "conf", "paper_figures", "benchmarks", "pyproject.toml", "README.md", "LICENSE")


def done(*command: str | Path, cwd: Path, **variables: str) -> str:
    """What a command prints; it must succeed."""
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the checkout, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    source, site = folder / "source", folder / "site"
    source.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / part, source)
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    build = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source)
    done(*pip, *build, cwd=folder)
    [wheel] = folder.glob("er-*.whl")
    done(*pip, "install", "--no-deps", "--no-index", "--target", site, wheel, cwd=folder)
    return site


def test_an_installed_er_finds_its_configuration(site: Path, tmp_path: Path) -> None:
    table = done("-m", "er.table1", cwd=tmp_path, PYTHONPATH=str(site))
    assert "llama3_70b" in table
    where = "import er, er.options; print(er.__file__, er.options.CONF)"
    assert done("-c", where, cwd=tmp_path, PYTHONPATH=str(site)).count(str(site)) == 2
    shown = done("-m", "er.run", "+experiment=fig4", "--cfg", "job", cwd=tmp_path,
                 PYTHONPATH=str(site))  # fmt: skip
    assert "study: ladder" in shown


def test_the_package_contains_every_data_file(site: Path) -> None:
    for package in ("er", "paper_figures"):
        for path in (ROOT / package).rglob("*"):
            kept = path.is_file() and path.suffix in (".yaml", ".json", ".csv", ".txt")
            assert not kept or (site / path.relative_to(ROOT)).exists(), path
    for path in (ROOT / "conf").rglob("*.yaml"):
        assert (site / "er" / path.relative_to(ROOT)).exists(), path


def test_a_shell_completes_groups_options_and_keys(site: Path, tmp_path: Path) -> None:
    program = site / "bin" / "er-run"
    script = done(program, "-sc", "install=bash", cwd=tmp_path, PYTHONPATH=str(site))
    assert script.rstrip().endswith("hydra_bash_completion er-run")
    for line, expected in {
        "er-run +experiment=f": "+experiment=fig4",
        "er-run deployment=": "deployment=e",
        "er-run load.conc": "load.concurrency.",
    }.items():
        offered = done(program, "-sc", "query=bash", cwd=tmp_path, PYTHONPATH=str(site),
                       COMP_LINE=line, COMP_POINT=str(len(line)))  # fmt: skip
        assert expected in offered.split()


def test_no_module_has_the_name_of_a_standard_module(site: Path) -> None:
    """`python er/run.py` puts er/ before the standard library."""
    names = {path.stem for path in (site / "er").iterdir()}
    assert not names & set(sys.stdlib_module_names)
