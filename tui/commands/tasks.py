"""`headcode tasks`: list the ready-made example sets."""

from tui.output.cli_options import JsonOption


def tasks(as_json: JsonOption = False) -> None:
    """List the ready-made tasks."""
    from engine.tasks.registry import TASKS
    from tui.output.console import print_columns, print_json

    if as_json:
        print_json(
            {
                "schema": "headcode.tasks/1",
                "tasks": [
                    {
                        "name": task.name,
                        "title": task.title,
                        "description": task.description,
                        "metric": task.metric,
                        "published": [
                            {"model": model, "heads": [list(head) for head in known.heads], "source": known.source}
                            for model, known in task.published
                        ],
                    }
                    for task in TASKS.values()
                ],
            }
        )
        return
    print_columns(
        [
            (task.name, ", ".join(model for model, _ in task.published) or "-", task.description)
            for task in TASKS.values()
        ],
        header=("task", "published for", "description"),
    )
