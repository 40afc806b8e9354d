"""The checks of a model: all hold in the bundled one, some cannot in others, and some fail where it is broken."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from engine.catalog.check_report import (
    CHECKED_PACKAGES,
    UNCHECKED,
    CheckStarted,
    CheckStatus,
    ModelCheck,
    ModelCheckReport,
    check_status,
    store_report,
    stored_report,
)
from engine.catalog.local_models import bundled_folder
from engine.config import LoadOptions
from engine.models.loading import Model, load_model
from engine.worker.check_model import check_model, make_inputs
from engine.worker.model_checks import (
    HookFamily,
    all_checks,
    check_cache,
    check_head_sum,
    check_hooks,
    check_patched_effect,
)

from ..plain import byte_level, save


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Model:
    torch.set_num_threads(1)
    return load_model("toy", tmp_path_factory.mktemp("models"), LoadOptions(device="cpu"))


@pytest.fixture(scope="module")
def report(toy: Model) -> ModelCheckReport:
    started: list[CheckStarted] = []
    found = check_model(toy, "bfloat16", started.append)
    assert [each.what for each in started] == [title for title, _ in all_checks()]
    assert [(each.done, each.total) for each in started] == [(place, len(started)) for place in range(len(started))]
    return found


def test_everything_holds_in_the_bundled_model(report: ModelCheckReport) -> None:
    assert report.holds, report
    assert report.summary == "holds"
    by_name = {check.name: check for check in report.checks}
    assert {check.verdict for check in report.checks} == {"holds", "fact"}
    assert by_name["hook: heads' outputs"].number == 4
    total = by_name["sum of heads"]
    assert total.number is not None
    assert total.number < 1e-4
    assert "(with bias)" in total.reason
    effect = by_name["patched effect"].number
    assert effect is not None
    assert effect < 1e-3
    assert "rank correlation" in by_name["float32 and bfloat16"].reason
    assert "before a text it adds" in by_name["tokenizer"].reason
    assert "20 prompts of " in by_name["cost"].reason


def family(name: str, vocabulary: int) -> Any:
    import transformers as tf

    shape = {"vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    if name == "gemma3":
        return tf.Gemma3ForCausalLM(
            tf.Gemma3TextConfig(
                **shape, intermediate_size=48, num_key_value_heads=1, head_dim=16, sliding_window=6, pad_token_id=0
            )
        )
    if name == "granite":
        return tf.GraniteForCausalLM(
            tf.GraniteConfig(**shape, intermediate_size=48, num_key_value_heads=2, residual_multiplier=0.22)
        )
    if name == "neox":  # attention and MLP read the same stream
        return tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**shape, intermediate_size=48))
    assert name == "gpt1"  # takes no cache, and its norms come after
    return tf.OpenAIGPTLMHeadModel(
        tf.OpenAIGPTConfig(n_embd=32, n_layer=3, n_head=4, n_positions=64, vocab_size=vocabulary)
    )


def tiny(name: str, folder: Path) -> Model:
    torch.set_num_threads(1)
    save(family(name, len(byte_level(folder))), folder)
    return load_model(str(folder), folder.parent, LoadOptions(device="cpu"))


WAYS = {
    "gemma3": "(with the norm after attention)",
    "granite": "(with factor 0.22)",
    "neox": "(with bias)",
    "gpt1": "(with bias)",
}


@pytest.mark.parametrize("name", WAYS)
def test_heads_make_what_attention_adds_in_other_families(name: str, tmp_path: Path) -> None:
    model = tiny(name, tmp_path / name)
    inputs = make_inputs(model, "bfloat16")
    found = check_head_sum(inputs)
    assert found.verdict == "holds", found
    assert WAYS[name] in found.reason
    effect = check_patched_effect(inputs)
    assert effect.verdict == "holds", effect
    cache = check_cache(inputs)
    assert (cache.verdict == "cannot") == (name == "gpt1"), cache


def test_what_a_model_cannot_is_said_with_the_reason(tmp_path: Path) -> None:
    """Four words make no ready-made task, and GPT-1 takes no cache."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"a": 0, "b": 1, "c": 2, "?": 3}, unk_token="?"))  # type: ignore[arg-type]
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?").save_pretrained(tmp_path)
    save(family("gpt1", 4), tmp_path)
    report = check_model(
        load_model(str(tmp_path), tmp_path.parent, LoadOptions(device="cpu")), "bfloat16", lambda _: None
    )
    without = {check.name: check.reason for check in report.checks if check.verdict == "cannot"}
    assert set(without) >= {"float32 and bfloat16", "kept keys and values", "cost"}
    assert "none of the ready-made tasks" in without["float32 and bfloat16"]
    assert "cache" in without["kept keys and values"]
    # Its blocks return lists, on which TransformerLens calls no hook: the default recipe has no positions there.
    assert not report.holds
    assert report.summary == "fails: hook: stream out of blocks"
    failed = next(check for check in report.checks if check.verdict == "fails")
    assert "hook_out is not called in 3 of 3 layers (0, 1, 2): without it there are no pair positions" in failed.reason


def test_a_head_that_adds_something_else_fails(tmp_path: Path) -> None:
    model = tiny("gemma3", tmp_path / "broken")
    block = model.bridge.blocks[1].original_component
    block.post_attention_layernorm.register_forward_hook(lambda _module, _given, output: output * 1.1)
    inputs = make_inputs(model, "bfloat16")
    found = check_head_sum(inputs)
    assert found.verdict == "fails", found
    assert found.number == pytest.approx(0.1, abs=0.02)
    # The files have other weights than the model in memory: its effects are not theirs.
    effect = check_patched_effect(inputs)
    assert effect.verdict == "fails"
    report = ModelCheckReport(
        model="x", identity="0" * 64, device="cpu", dtype="bfloat16", versions={}, date="", seconds=1.0,
        checks=(found, effect),
    )  # fmt: skip
    assert not report.holds
    assert report.summary == "fails: sum of heads, patched effect"


def test_a_hook_that_is_not_called_is_named(toy: Model) -> None:
    inputs = make_inputs(toy, "bfloat16")
    for vital, verdict in ((True, "fails"), (False, "cannot")):
        family = HookFamily(title="x", hook="blocks.{layer}.attn.hook_none", needed_for="dreams", vital=vital)
        found = check_hooks(inputs, family)
        assert (found.verdict, found.number) == (verdict, 0)
        assert "not called in 4 of 4 layers (0, 1, 2, 3): without it there are no dreams" in found.reason


def test_a_report_is_kept_until_the_models_files_change(report: ModelCheckReport, tmp_path: Path) -> None:
    folder, models = tmp_path / "model", tmp_path / "models"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_bytes((bundled_folder() / name).read_bytes())
    assert stored_report(folder, models) is None
    path = store_report(report, folder, models)
    assert stored_report(folder, models) == report
    assert list(path.parent.iterdir()) == [path]
    newer = ModelCheckReport(**{each: getattr(report, each) for each in report.__struct_fields__} | {"checks": ()})
    store_report(newer, folder, models)
    assert stored_report(folder, models) == newer
    path.write_text("{")
    assert stored_report(folder, models) is None
    store_report(report, folder, models)
    (folder / "config.json").write_text("{}")
    assert stored_report(folder, models) is None
    assert check_status(folder, models).words == "changed since its check"


def test_a_status_says_what_the_last_check_is_worth_now(report: ModelCheckReport, tmp_path: Path) -> None:
    folder, models = bundled_folder(), tmp_path / "models"
    assert check_status(folder, models) == check_status(None, models) == UNCHECKED

    def status(identity: str | None = None, **changes: Any) -> CheckStatus:
        store_report(msgspec.structs.replace(report, **changes), folder, models)
        return check_status(folder, models, identity)

    found = status()
    assert (found.words, found.short, found.state, found.report) == ("checked: holds", "check holds", "holds", report)
    assert status(report.identity).state == "holds"
    other = status("0" * 64)
    assert (other.words, other.state, other.report) == ("changed since its check", "outdated", None)
    bad = ModelCheck(name="sum of heads", verdict="fails", reason="x.")
    one, two = status(checks=(*report.checks, bad)), status(checks=(*report.checks, bad, bad))
    assert (one.words, one.short) == ("checked: 1 does not hold", "1 check fails")
    assert (two.words, two.short) == ("checked: 2 do not hold", "2 checks fail")
    for package in CHECKED_PACKAGES:
        older = status(versions=report.versions | {package: "0.0.1"}, checks=(bad,))
        assert (older.words, older.short, older.state) == ("checked with older versions", "check outdated", "outdated")
        assert older.changes == (f"{package} 0.0.1, now {report.versions[package]}",)
        assert older.about == f"fails: sum of heads, with older versions ({older.changes[0]})"


def test_numbers_that_are_none_are_left_out(report: ModelCheckReport) -> None:
    assert all(check.number is None or abs(check.number) < float("inf") for check in report.checks)
    assert all(check.reason.endswith(".") for check in report.checks)
    assert ModelCheck(name="x", verdict="fact", reason="y.").number is None
