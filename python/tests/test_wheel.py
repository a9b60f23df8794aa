"""The wheel in dist/: its tag and size, what it exports, and that it needs nothing else to run."""

import re
import shutil
import subprocess
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

import elastirec

ROOT = Path(__file__).parents[2]
NEEDED = ["narwhals", "numpy", "safetensors", "tqdm"]

TRIAL = """
import numpy as np
import elastirec as er

rng = np.random.default_rng(0)
users = np.repeat(np.arange(30), 8)
items = (np.tile(np.arange(8), 30) + rng.integers(0, 12, 30).repeat(8)) % 12
split = er.leave_one_out(er.Interactions({"user": users, "item": items}))
model = er.SASRec(dim=8, inner_dim=8, max_length=8, epochs=2, random_state=0)
model.fit(split.train, validation=split.valid, progress=False)
assert set(model.evaluate(split.test, k=5)) >= {"recall@5", "ndcg@5"}
assert np.isfinite(model.scores([[1, 2, 3]])).all()

for line in open("/proc/self/maps"):
    if ".so" in line:
        print("loaded", line.split()[-1])
print("finished")
"""


@pytest.fixture(scope="module")
def wheel() -> Path:
    wheels = list((ROOT / "dist").glob("*.whl"))
    assert len(wheels) == 1, "`make wheel` builds the one wheel that these tests look at"
    return wheels[0]


@pytest.fixture(scope="module")
def site_packages(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with the wheel and what it needs, taken from this environment."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    for name in NEEDED:
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or [] if file.parts[0] != ".."}:
            (packages / top).symlink_to(found.locate_file(top))
    return packages


def test_tests_run_on_the_installed_wheel() -> None:
    assert "site-packages" in Path(elastirec.__file__).parts


def test_tag_serves_all_later_pythons(wheel: Path) -> None:
    assert re.search(r"-cp311-abi3-manylinux_2_\d+_\w+\.whl$", wheel.name)


def test_size_is_below_25_megabytes(wheel: Path) -> None:
    assert wheel.stat().st_size < 25e6


def test_wheel_holds_no_sources_but_types_and_licences(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.endswith((".c", ".h", ".swift", ".map"))]
    assert {"elastirec/_native.abi3.so", "elastirec/libelastirec.so"} <= set(names)
    assert {"elastirec/_native.pyi", "elastirec/py.typed"} <= set(names)
    licences = [name.partition("/licenses/")[2] for name in names]
    assert sorted(filter(None, licences)) == ["LICENSE", "NOTICE"]


def test_needs_four_small_packages() -> None:
    needed = [name for name in distribution("elastirec").requires or [] if "extra ==" not in name]
    assert sorted(re.split(r"[^\w-]", name)[0] for name in needed) == NEEDED


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm of binutils")
def test_library_exports_the_c_interface_only(site_packages: Path) -> None:
    header = (ROOT / "Sources/CElastirec/include/elastirec.h").read_text()
    library = site_packages / "elastirec/libelastirec.so"
    lines = subprocess.check_output(["nm", "-D", "--defined-only", library], text=True)
    exported = {name for _, kind, name in map(str.split, lines.splitlines()) if kind.isupper()}
    assert exported == set(re.findall(r"\b(elastirec_\w+)\(", header))


def test_runs_without_toolchain_and_openblas(site_packages: Path, tmp_path: Path) -> None:
    python = site_packages.parents[2] / "bin/python"
    command = hidden_from([Path("/opt/swift"), *openblas_folders()], tmp_path)
    command += ["env", "-i", f"HOME={tmp_path}", str(python), "-I", "-c", TRIAL]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert run.stdout.endswith("finished\n"), run.stderr

    loaded = set(re.findall(r"^loaded (.+)$", run.stdout, re.MULTILINE))
    ours = site_packages / "elastirec", site_packages / "elastirec.libs"
    bundled = {path for path in loaded if Path(path).parent in ours}
    names = {re.split(r"[-.]", Path(path).name)[0] for path in bundled}
    assert names >= {"_native", "libelastirec", "libopenblasp", "libgfortran"}
    private = re.compile(r"swift|Foundation|dispatch|openblas|gfortran|quadmath")
    numpys = str(distribution("numpy").locate_file("numpy"))
    strangers = {path for path in loaded - bundled if private.search(Path(path).name)}
    assert {path for path in strangers if not path.startswith(numpys)} == set()


def openblas_folders() -> list[Path]:
    return list(Path("/usr/lib").glob("*/openblas*"))


def hidden_from(folders: list[Path], empty: Path) -> list[str]:
    """Return a command that hides folders from the one after it, where the system allows that."""
    unshare = ["unshare", "--mount", "--map-root-user"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*unshare, "true"], capture_output=True).returncode
    ):
        return []  # the test looks at what is loaded besides
    mounts = [f"mount --bind '{empty}' '{folder}'" for folder in folders if folder.is_dir()]
    return [*unshare, "bash", "-c", " && ".join([*mounts, 'exec "$@"']), "bash"]
