"""`headcode keys`: the keys of every screen, as a keys.toml to begin with."""

from tui.output.cli_options import JsonOption


def keys(as_json: JsonOption = False) -> None:
    """List the keys of every screen as they are for you: a valid keys.toml, to be changed and saved.

    What is wrong with yours is said with its line, and the exit code is 2; the screens start all the same. With --json
    also the path of that file.
    """
    from engine.machine.folders import find_folders
    from tui.actions.keymap import keys_text, load_keys, with_keys
    from tui.actions.registry import all_tables
    from tui.output.console import narrate, print_json, print_line

    path = find_folders().keys
    own = load_keys(path)
    tables = {name: with_keys(actions, own.keys) for name, actions in all_tables().items()}
    if as_json:
        listed = [
            {
                "screen": name,
                "id": each.id,
                "keys": each.keys,
                "title": each.title,
                "does": each.tooltip,
                "group": each.group,
            }
            for name, actions in tables.items()
            for each in actions
        ]
        problems = [{"message": problem.message, "hint": problem.hint} for problem in own.problems]
        print_json({"schema": "headcode.keys/1", "file": str(path), "keys": listed, "problems": problems})
    else:
        narrate(f"Yours are read from {path}" + ("." if path.exists() else " (not there yet)."))
        for line in keys_text(tables).splitlines():
            print_line(line)
    for problem in own.problems[1:]:
        narrate(f"{problem.message} {problem.hint}")
    if own.problems:
        raise own.problems[0]
