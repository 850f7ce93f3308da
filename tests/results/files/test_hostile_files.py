"""Files are written whole or not at all; of what is not ours nothing is read, and soon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmix as bmx
from bayesmix.errors import DataWarning, FileError
from bayesmix.model.loading import check_supports
from bayesmix.results.files import netcdf_check, places, zarr_check
from bayesmix.results.files.checksums import sums_of
from bayesmix.results.files.hdf5_check import Refused, check
from bayesmix.results.files.report import write_report
from bayesmix.results.files.storage import read_tree, write_tree
from tests.builders import fake_posterior

POSIX = pytest.mark.skipif(
    os.name != "posix", reason="limits of a process, its signals and links are those of POSIX"
)
BEFORE = Path(__file__).parent / "before" / "format_1.zip"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fit as .nc and as .zarr."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"y": rng.normal(size=40), "x": rng.normal(size=40)})
    data["g"] = [f"level {i % 5}" for i in range(40)]
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    folder = tmp_path_factory.mktemp("written")
    post.save(folder / "fit.nc")
    post.save(folder / "fit.zarr")
    return folder


@pytest.fixture(scope="module")
def post(written: Path) -> Any:
    """The fit that is in them."""
    return bmx.load(written / "fit.nc")


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """The same, for a test to spoil."""
    return Path(shutil.copytree(written, tmp_path / "fits"))


def beta(path: Path) -> np.ndarray:
    values: np.ndarray = bmx.load(path).idata["posterior"]["beta"].to_numpy()
    return values


# -- files of before -------------------------------------------------------------


def test_files_of_the_first_format_are_read(tmp_path: Path) -> None:
    zipfile.ZipFile(BEFORE).extractall(tmp_path)
    posts = [bmx.load(tmp_path / name) for name in ("fit.nc", "fit.zarr")]
    for post in posts:
        assert post.model.formula.text == "y ~ x + f + (1 | g)"
        assert post.idata["posterior"]["beta"].shape == (2, 20, 3)
        assert post.idata["posterior"]["g_level"].to_numpy().tolist() == ["s0", "s1", "s2", "s3"]
    pd.testing.assert_frame_equal(posts[0].predict(), posts[1].predict())
    assert isinstance(bmx.load(tmp_path / "eb.nc"), bmx.EmpiricalBayes)


# -- numbers that are not what was saved -----------------------------------------------


def forget_sums(file: h5py.File) -> None:
    """As files of earlier versions are."""
    del file["bayesmix_model"].attrs["checksums"]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("sigma", -1.0, "the draws of sigma cannot be below 0, and one is -1"),
        ("sd_g", -0.5, "the draws of sd_g cannot be below 0, and one is -0.5"),
        ("corr_g", 1.5, "the draws of corr_g cannot lie beyond -1 and 1, and one is 1.5"),
        ("corr_g", 0.5, "the draws of corr_g are no correlation matrices"),
        ("sigma", np.inf, "the draws of sigma are not all finite"),
        ("beta", np.nan, "the draws of beta are not all finite"),
    ],
)
def test_draws_outside_of_their_range_are_refused(
    name: str, value: float, why: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(5)
    data = pd.DataFrame(rng.normal(size=(40, 2)), columns=["y", "x"])
    model = bmx.Model("y ~ x + (x | g)", data.assign(g=list("abcde") * 8))
    path = fake_posterior(model, rng).save(tmp_path / "fit.nc")
    with h5py.File(path, "a") as file:
        draws = file["posterior"][name]
        draws[(0,) * draws.ndim] = value
    with pytest.raises(FileError, match=f"is damaged: the numbers of posterior/{name} are not"):
        bmx.load(path)
    with h5py.File(path, "a") as file:
        forget_sums(file)
    with pytest.raises(FileError, match=why):
        bmx.load(path)


def test_probabilities_and_thresholds_have_their_ranges_too() -> None:
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"y": rng.poisson(2.0, 40), "x": rng.normal(size=40)})
    model = bmx.Model("y ~ x", data, family="zero_inflated_poisson")
    (name,) = model.family.parameters
    inside = xr.Dataset({name: (("chain", "draw"), rng.uniform(size=(2, 5)))})
    check_supports(model, inside)
    with pytest.raises(FileError, match=rf"draws of {name} cannot lie beyond 0 and 1, and one is"):
        check_supports(model, inside + 1)
    ordinal = bmx.Model("y ~ x", data.assign(y=pd.Categorical(data["y"], ordered=True)),
                        family="cumulative")  # fmt: skip
    n = len(ordinal.family.parameter_labels(ordinal.design.response)["thresholds"])
    dims = ("chain", "draw", "threshold")
    cuts = xr.Dataset({"thresholds": (dims, np.sort(rng.normal(size=(2, 5, n))))})
    check_supports(ordinal, cuts)
    with pytest.raises(FileError, match="the draws of thresholds are not in order"):
        check_supports(ordinal, -cuts)


@pytest.mark.parametrize(
    ("text", "name", "shape", "wrong"),
    [("ar1(t | g)", "rho_residual", (), 1.5), ("exp(t | g)", "range_residual", (), -1.0),
     ("toep(t | g)", "rho_residual", (3,), -1.5), ("us(t | g)", "sd_residual", (4,), -1.0),
     ("us(t | g)", "corr_residual", (4, 4), 1.5)],
)  # fmt: skip
def test_parameters_of_residuals_have_their_ranges_too(
    text: str, name: str, shape: tuple[int, ...], wrong: float
) -> None:
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"t": np.tile(range(4), 10), "g": np.repeat(range(10), 4)})
    model = bmx.Model(["y ~ 1", f"residual ~ {text}"], data.assign(y=rng.normal(size=40)))
    assert model.residual is not None
    inside = {"sigma": (("chain", "draw"), np.ones((2, 5)))}
    for own, dims in model.residual.dims.items():
        n = tuple(len(model.residual.coords[dims[0]]) for _ in dims)
        values = np.full((2, 5, *n), 0.5)
        if len(n) == 2:
            values[..., range(4), range(4)] = 1.0
        inside[own] = (("chain", "draw", *dims), values)
    check_supports(model, xr.Dataset(inside))
    spoiled = inside[name][1].copy()
    assert spoiled.shape[2:] == shape
    spoiled[(1, 2, *(k - 1 for k in shape))] = wrong
    with pytest.raises(FileError, match=f"the draws of {name} cannot .* one is {wrong:g}"):
        check_supports(model, xr.Dataset({**inside, name: (inside[name][0], spoiled)}))


def test_one_turned_bit_of_any_array_is_found(folder: Path) -> None:
    path = folder / "fit.nc"
    with h5py.File(path, "a") as file:
        times = file["sample_stats/energy"]
        times[0, 0] = np.nextafter(times[0, 0], np.inf)
    with pytest.raises(FileError, match="the numbers of sample_stats/energy are not those"):
        bmx.load(path)
    with h5py.File(path, "a") as file:
        forget_sums(file)
    bmx.load(path)


def test_missing_numbers_have_a_checksum_whatever_their_bits() -> None:
    nan = np.array([1.0, np.nan, 3.0])
    other = -nan
    other[[0, 2]] = nan[[0, 2]]
    assert nan.tobytes() != other.tobytes()
    one, two = (sums_of({"a": xr.Dataset({"x": ("i", v)})}) for v in (nan, other))
    assert one == two != sums_of({"a": xr.Dataset({"x": ("i", nan[::-1] + 1)})})


# -- what leads out of a netCDF file ------------------------------------------------


def external(file: h5py.File, secret: Path) -> None:
    file["posterior"].create_dataset("stolen", (6,), "u1", external=[(str(secret), 0, 6)])


def virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((6,), "u1")
    layout[:] = h5py.VirtualSource(str(secret), "a", (6,))
    file["posterior"].create_virtual_dataset("stolen", layout)


def external_link(file: h5py.File, secret: Path) -> None:
    file["stolen"] = h5py.ExternalLink(str(secret), "/")


def soft_link(file: h5py.File, secret: Path) -> None:
    file["posterior/stolen"] = h5py.SoftLink("/observed_data/y_obs")


def loop(file: h5py.File, secret: Path) -> None:
    file["posterior/again"] = file["/"]


def two_names(file: h5py.File, secret: Path) -> None:
    file["posterior/again"] = file["posterior/beta"]


def nested(file: h5py.File, secret: Path) -> None:
    file.create_group("posterior/a/b/c")


def bomb(file: h5py.File, secret: Path) -> None:
    values = file["posterior"].create_dataset(
        "zeros", (400_000_000,), "f8", chunks=(1_000_000,), compression="gzip"
    )
    values[:10] = 0.0


def unwritten(file: h5py.File, secret: Path) -> None:
    file["posterior"].create_dataset("zeros", (10**9, 10**4), "f8")


def reference(file: h5py.File, secret: Path) -> None:
    file["posterior"].create_dataset("r", data=file["posterior/beta"].ref, dtype=h5py.ref_dtype)


def reference_in_attribute(file: h5py.File, secret: Path) -> None:
    file["posterior"].attrs.create("r", file["posterior/beta"].ref, dtype=h5py.ref_dtype)


def many(file: h5py.File, secret: Path) -> None:
    for i in range(12_000):
        file.create_group(f"g{i}")


def groups(file: h5py.File, secret: Path) -> None:
    for i in range(101):
        file.create_group(f"g{i}")


def repeated_text(file: h5py.File, secret: Path) -> None:
    """Twenty thousand names for one text of 60,000 letters: 1.2 GB out of 0.4 MB."""
    path = Path(os.fsdecode(file.filename))
    made = file["posterior"].create_dataset("t", (20_000,), h5py.string_dtype())
    made[0] = "x" * 60_000
    start = made.id.get_offset()
    file.close()
    with path.open("r+b") as raw:
        raw.seek(start)
        first = raw.read(16)
        raw.seek(start)
        raw.write(first * 20_000)


@POSIX
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (external, "lies in another file"),
        (virtual, "lies in another file"),
        (external_link, "is a link to another place"),
        (soft_link, "is a link to another place"),
        (loop, "another name of something"),
        (two_names, "another name of something"),
        (nested, "a group within a group"),
        (bomb, "stored in chunks or compressed"),
        (unwritten, "claims 80000000000000 bytes"),
        (reference, "holds object"),
        (reference_in_attribute, "the attribute 'r'"),
        (many, "more than 10000 objects"),
        (groups, "more than 100 groups"),
        (repeated_text, "texts are longer than the file"),
    ],
)
def test_a_netcdf_file_holds_all_that_is_read(
    spoil: Callable[[h5py.File, Path], None], why: str, folder: Path
) -> None:
    path, secret = folder / "fit.nc", folder / "secret"
    secret.write_text("secret")
    with h5py.File(path, "a") as file:
        spoil(file, secret)
    start = time.perf_counter()
    with pytest.raises(Refused, match=why):
        check(str(path))
    if spoil in {external, loop}:
        with pytest.raises(FileError, match=f"fit.nc.*{why}"):
            bmx.load(path)
    assert time.perf_counter() - start < 30


@POSIX
def test_a_file_in_which_the_library_turns_in_circles_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netcdf_check, "SECONDS", 2.0)
    path = Path(zipfile.ZipFile(BEFORE).extract("eb.nc", tmp_path))
    whole = path.read_bytes()
    path.write_bytes(whole[:2312] + bytes(6224 - 2312) + whole[6224:])
    with pytest.raises(FileError, match=r"eb\.nc.*is damaged \(reading it takes longer than 2 s"):
        bmx.load(path)


def test_a_child_that_does_not_answer_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netcdf_check, "SECONDS", 0.1)
    monkeypatch.setattr(netcdf_check, "_CHILD", "import time; time.sleep(60)")
    start = time.perf_counter()
    with pytest.raises(FileError, match=r"takes longer than 0 s"):
        bmx.load(folder / "fit.nc")
    assert time.perf_counter() - start < 30


def test_what_was_added_to_a_file_is_left_out_and_named(folder: Path) -> None:
    with h5py.File(folder / "fit.nc", "a") as file:
        file["posterior"].create_dataset("stolen", data=np.arange(3.0))
        file.create_group("more").create_dataset("\x1b[2J", data=np.arange(3.0))
    # A terminal would obey that name, and clear.
    with pytest.warns(DataWarning, match=r"'more/\\x1b\[2J', more, posterior/stolen, which save"):
        post = bmx.load(folder / "fit.nc")
    assert "stolen" not in post.idata["posterior"]
    assert "more" not in post.idata.children


# -- what leads out of a zarr folder ------------------------------------------------


def linked_chunk(store: Path) -> None:
    chunk = store / "posterior/beta/c/0/0/0"
    chunk.unlink()
    chunk.symlink_to("/etc/passwd")


def linked_device(store: Path) -> None:
    chunk = store / "posterior/beta/c/0/0/0"
    chunk.unlink()
    chunk.symlink_to("/dev/zero")


def linked_folder(store: Path) -> None:
    (store / "stolen").symlink_to("/etc")


def many_groups(store: Path) -> None:
    for i in range(101):
        (store / f"g{i}").mkdir()
        shutil.copy(store / "posterior/zarr.json", store / f"g{i}")


def fifo(store: Path) -> None:
    (store / "posterior/zarr.json").unlink()
    os.mkfifo(store / "posterior/zarr.json")


def deep(store: Path) -> None:
    (store / "/".join("c" * 20)).mkdir(parents=True)


def other_file(store: Path) -> None:
    (store / "posterior/beta/notes.txt").write_text("mine")


def described(store: Path, **entries: Any) -> None:
    path = store / "posterior/beta/zarr.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def large(store: Path) -> None:
    described(store, shape=[10**6, 10**6, 3])


def large_chunk(store: Path) -> None:
    grid = {"name": "regular", "configuration": {"chunk_shape": [10**6, 10**6, 3]}}
    described(store, chunk_grid=grid)


def zeros(store: Path) -> None:
    from numcodecs.zstd import Zstd

    (store / "posterior/beta/c/0/0/0").write_bytes(Zstd().encode(bytes(50_000_000)))


def object_type(store: Path) -> None:
    described(store, data_type={"name": "struct", "configuration": {}})


@POSIX
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (linked_chunk, "is a link or no file"),
        (linked_device, "is a link or no file"),
        (linked_folder, "is a link or no file"),
        (fifo, "is a link or no file"),
        (deep, "lies too deep"),
        (other_file, "no file of zarr format 3"),
        (many_groups, "more than 100 groups"),
        (large, r"claims 2\.4e\+13 bytes"),
        (large_chunk, "as save.. never writes it"),
        (zeros, "claims 50000000 bytes"),
        (object_type, "is incomplete"),
    ],
)
def test_a_zarr_folder_holds_all_that_is_read(
    spoil: Callable[[Path], None], why: str, folder: Path
) -> None:
    spoil(folder / "fit.zarr")
    with pytest.raises(FileError, match=f"fit.zarr.*{why}"):
        bmx.load(folder / "fit.zarr")


def test_what_a_file_may_decode_to_is_bounded_by_its_size(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_check, "FREE", 0)
    monkeypatch.setattr(zarr_check, "RATIO", 100)
    assert beta(folder / "fit.zarr").size
    monkeypatch.setattr(zarr_check, "RATIO", 0.01)
    with pytest.raises(FileError, match=r"claims .* bytes"):
        bmx.load(folder / "fit.zarr")


# -- writing ------------------------------------------------------------------------

_FULL = """
import gc, resource, signal, sys
import bayesmix as bmx
from bayesmix.errors import FileError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
fit = bmx.load(sys.argv[1])
unlimited = resource.RLIM_INFINITY
for path, limit in ((sys.argv[1], 20_000), (sys.argv[2], 300)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited))
    try:
        fit.save(path)
    except FileError as error:
        print("refused", path in str(error), "File too large" in str(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
gc.collect()
print(fit.save(sys.argv[3]).name)
"""


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@POSIX
def test_a_full_disk_leaves_the_old_file_and_the_process(folder: Path) -> None:
    before, elsewhere = contents(folder), folder.parent / "elsewhere.nc"
    command = [sys.executable, "-c", _FULL, folder / "fit.nc", folder / "fit.zarr", elsewhere]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["refused True True", "refused True True", "elsewhere.nc"]
    assert contents(folder) == before
    assert sorted(p.name for p in folder.iterdir()) == ["fit.nc", "fit.zarr"]
    np.testing.assert_array_equal(beta(elsewhere), beta(folder / "fit.nc"))


@POSIX
def test_a_full_disk_leaves_the_old_page(folder: Path, post: Any) -> None:
    import resource

    page = folder / "page.html"

    def write() -> None:
        write_report(
            page, model=post.model, summary=post.summary(), group_effects=[], pictures=[],
            problems=[], facts=[], methods=post.methods(),
        )  # fmt: skip

    write()
    before = contents(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # Python ignores the signal
    try:
        with pytest.raises(FileError, match=r"page\.html' cannot be written: File too large"):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(folder) == before


@POSIX
def test_drafts_of_the_dead_are_removed_and_no_others(folder: Path, post: Any) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    name = f".bayesmix-draft-{places._here()}"
    left = [folder / f"{name}-{dead.pid}-{'0' * 12}", folder / f"{name}-{dead.pid}-{'1' * 12}"]
    left[0].write_bytes(b"half a file")
    (left[1] / "new" / "posterior").mkdir(parents=True)
    (left[1] / "old" / "lost.zarr").mkdir(parents=True)
    (left[1] / "old" / "fit.zarr").mkdir()
    old = folder / f".bayesmix-draft-00000000-1-{'2' * 12}"
    old.write_bytes(b"of another machine, long ago")
    os.utime(old, (0, 0))
    kept = [
        folder / f"{name}-{os.getppid()}-{'3' * 12}",  # someone is writing it
        folder / f".bayesmix-draft-00000000-1-{'4' * 12}",  # perhaps someone elsewhere is
        folder / ".bayesmix-draft-of-my-thesis",
    ]
    for path in kept:
        path.write_bytes(b"")
    post.save(folder / "other.nc")
    assert not [path for path in [*left, old] if path.exists()]
    assert all(path.exists() for path in kept)
    assert (folder / "lost.zarr").is_dir()  # set aside by one who did not come back
    assert (folder / "fit.zarr" / "zarr.json").is_file()


_WORK = """
import sys, time
import bayesmix as bmx
source, *places = sys.argv[1:]
fit = bmx.load(source)
end = time.time() + 2
while time.time() < end:
    for place in places:
        fit.save(place)
        assert bmx.load(place).idata["posterior"]["beta"].shape[2] == 2
"""


@POSIX
def test_processes_that_save_and_load_one_place_see_it_whole(folder: Path) -> None:
    source = shutil.copy(folder / "fit.nc", folder.parent / "source.nc")
    jobs = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _WORK, source, folder / "fit.nc",
             folder / "fit.zarr"],
            stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for job in jobs:
        _, errors = job.communicate(timeout=300)
        assert job.returncode == 0, errors
    assert sorted(p.name for p in folder.iterdir()) == ["fit.nc", "fit.zarr"]


def test_without_an_exchange_the_old_one_is_renamed_away(
    folder: Path, post: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_exchange", lambda *_: False)
    monkeypatch.setitem(post.idata.attrs, "seed", 1)
    post.idata.attrs["seed"] = 12345
    post.save(folder / "fit.zarr")
    assert bmx.load(folder / "fit.zarr").idata.attrs["seed"] == 12345
    original = Path.rename

    def fails(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(28, "No space left on device")
        return original(path, target)

    monkeypatch.setattr(places, "_TRIES", 2)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", fails)
        with pytest.raises(FileError, match="No space left"):
            post.save(folder / "fit.zarr")
    assert bmx.load(folder / "fit.zarr").idata.attrs["seed"] == 12345
    assert sorted(p.name for p in folder.iterdir()) == ["fit.nc", "fit.zarr"]


# -- paths --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a\0b", "x" * 300, "\ud800", "no/such/folder/" + "y" * 300, "~nobody-of-this-name/x"]
)
def test_paths_that_no_file_can_have_are_named(name: str, folder: Path, post: Any) -> None:
    for ending, call in ((".nc", bmx.load), (".zarr", bmx.load), (".nc", post.save),
                         (".zarr", post.save), (".html", post.report)):  # fmt: skip
        place = name if name.startswith("~") else f"{folder}/{name}"
        with pytest.raises(FileError):
            call(place + ending)


@POSIX
def test_a_path_is_a_path_and_no_address(
    folder: Path, post: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for name in ("zip::x.zarr", "memory::x.nc", "x" * 240 + ".zarr", "y" * 240 + ".nc"):
        assert post.save(name) == Path(name)
        assert (folder / name).exists()
        np.testing.assert_array_equal(beta(Path(name)), post.idata["posterior"]["beta"])
    with pytest.raises(FileError, match="no file"):
        bmx.load("zip::y.zarr")
    for place in ("own.nc", "own.zarr", "own.html"):
        os.mkfifo(place)
        with pytest.raises(FileError, match="own"):
            (post.report if place.endswith("html") else post.save)(place)
        with pytest.raises(FileError):
            bmx.load(place)


def test_a_store_that_lacks_a_file_is_refused_without_words_of_others(tmp_path: Path) -> None:
    sleep = bmx.load_dataset("sleepstudy")
    saved = bmx.Model("Reaction ~ Days + (1 | Subject)", sleep).fit_eb().save(tmp_path / "f.zarr")
    for name in sorted(p.relative_to(saved) for p in Path(saved).rglob("*") if p.is_file()):
        there = Path(saved) / name
        kept = there.read_bytes()
        there.unlink()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(FileError):
                bmx.load(saved)
        there.write_bytes(kept)
    assert bmx.load(saved).fixed_effects()["sd"].notna().all()


# -- what a summary or an update would meet ------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("engine", None, "engine is None"),
        ("engine", "\x1b[31mfast", "no line of text"),
        ("tune", None, "tune is None"),
        ("choice", 3, "choice is .*3"),
        ("fit_options", '{"shell": 1}', "which name none"),
    ],
)
def test_a_run_is_held_against_what_is_read_of_it(
    post: Any, tmp_path: Path, name: str, value: Any, words: str
) -> None:
    path = post.save(tmp_path / "fit.nc")
    tree = read_tree(path)
    if value is None:
        del tree.attrs[name]
    else:
        tree.attrs[name] = value
    write_tree(tree, path)
    with pytest.raises(FileError, match=words):
        bmx.load(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda draws: draws.isel(draw=slice(0)), "no draws"),
        (lambda draws: draws.isel(chain=slice(0)), "no draws"),
        (lambda draws: draws.assign(sigma=draws["sigma"] * 1e160), "in size"),
    ],
)
def test_draws_that_no_fit_has_are_refused(
    post: Any, tmp_path: Path, change: Callable[[Any], Any], words: str
) -> None:
    path = post.save(tmp_path / "fit.nc")
    tree = read_tree(path)
    tree["posterior"] = xr.DataTree(change(tree["posterior"].to_dataset()))
    write_tree(tree, path)
    with pytest.raises(FileError, match=words):
        bmx.load(path)
