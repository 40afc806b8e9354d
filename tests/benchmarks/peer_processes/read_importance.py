"""What EAP-IG's graph, or circuitkit's, makes of an importance JSON: nodes and edges after every way to choose."""

from child import Answer, Job, serve


def measure(job: Job) -> Answer:
    if job["package"] == "eap":
        from eap.graph import Graph
    else:
        from circuitkit.backends.eap.graph import Graph

    found: list[dict[str, object]] = []

    def chosen(way: str, n: int, choose: object) -> None:
        graph = Graph.from_json(job["file"])
        try:
            choose(graph)  # type: ignore[operator]  # one of the ways below
        except Exception as error:  # noqa: BLE001  # what it says is the answer
            found.append({"way": way, "n": n, "says": f"{type(error).__name__}: {error}"})
            return
        nodes = [name for name, node in graph.nodes.items() if name != "logits" and bool(node.in_graph)]
        kinds = {kind: sum(name.startswith(kind) for name in nodes) for kind in ("input", "a", "m")}
        edges = [edge for edge in graph.edges.values() if bool(edge.in_graph)]
        zero = sum(float(edge.score) == 0 for edge in edges)
        # An edge whose parent is not in the graph reads what is ablated.
        loose = sum(not bool(edge.parent.in_graph) for edge in edges)
        found.append({"way": way, "n": n, "nodes": kinds, "edges": len(edges), "zero": zero, "loose": loose})

    chosen("as it is", 0, lambda _graph: None)
    for n in job["nodes"]:
        chosen("topn, nodes", n, lambda graph, n=n: graph.apply_topn(n, level="node"))
        chosen("topn, nodes, unpruned", n, lambda graph, n=n: graph.apply_topn(n, level="node", prune=False))
    chosen("threshold 0, nodes", 0, lambda graph: graph.apply_threshold(0.0, level="node"))
    for n in job["edges"]:
        chosen("topn, edges", n, lambda graph, n=n: graph.apply_topn(n, level="edge"))
        chosen("topn, edges, unpruned", n, lambda graph, n=n: graph.apply_topn(n, level="edge", prune=False))
        chosen("greedy", n, lambda graph, n=n: graph.apply_greedy(n))
        chosen("greedy, unpruned", n, lambda graph, n=n: graph.apply_greedy(n, prune=False))
    return {"found": found}


if __name__ == "__main__":
    serve(measure, "transformer-lens")
