"""The method's reference implementation (a checkout of it): training, codes, node scores and edges."""

import sys
import time
from pathlib import Path

import torch
from child import Answer, Job, repeated, serve


def measure(job: Job) -> Answer:
    sys.path.insert(0, str(Path(job["checkout"]) / "src"))
    import numpy as np
    import sae

    # One of its files imports a package that it does not declare, and uses nothing of it; its own class has that name.
    sys.modules["sparse_autoencoder"] = sae
    from edge import edge_circuit_prediction, positive_and_negative_cooccurrence
    from node import node_circuit_prediction
    from safetensors.torch import load_file
    from train import train

    # It takes the first half of the rows for positives.
    streams = load_file(job["arrays"])["outputs"]
    n_layers, n_heads = job["layers"], job["heads"]
    labels = [f"L{layer}H{head}" for layer in range(n_layers) for head in range(n_heads)]
    truth = np.zeros((n_layers, n_heads))
    for layer, head in job["truth"]:
        truth[layer, head] = 1

    def work() -> dict[str, object]:
        times = [time.perf_counter()]
        order = torch.randperm(len(streams))
        shuffled = streams[order]
        model = sae.SparseAutoencoder(streams.shape[-1], job["codes"], geometric_median_dataset=None)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        model = train(model, 500, optimizer, shuffled[:10], shuffled[10:], lambda_=job["sparsity"])
        times.append(time.perf_counter())
        model.eval()
        latents = model(streams)[0].detach().cpu().numpy()
        codes = np.argmax(latents, axis=2)
        times.append(time.perf_counter())
        nodes, _ = node_circuit_prediction(codes, truth, labels, normalise=False)
        times.append(time.perf_counter())
        together = positive_and_negative_cooccurrence(codes, latents)
        half = len(labels) ** 2 // 2
        edges, _, _ = edge_circuit_prediction(*together, labels, truth, normalise=False, k=half)
        times.append(time.perf_counter())
        names = ("train", "codes", "nodes", "edges")
        stages = {name: times[place + 1] - times[place] for place, name in enumerate(names)}
        return {"scores": nodes.tolist(), "from_edges": edges.tolist(), "stages": stages}

    torch.manual_seed(0)  # it sets none
    work()
    return repeated(job, work)


if __name__ == "__main__":
    serve(measure, "torch", "transformer-lens")
