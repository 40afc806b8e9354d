"""The scores of a probe, without its reports, arrays and significance."""

from collections.abc import Sequence

from engine.capture.head_outputs import direct_effects, node_outputs, read_examples
from engine.catalog.recommended_config import resolve_config
from engine.config import ProbeConfig
from engine.events import SilentMonitor
from engine.examples import Example
from engine.models.loading import Model
from engine.results import NodeScores
from engine.sae.node_codes import NodeCodes
from engine.scoring.score_table import ScoreTable, pair_rows


def score_examples(model: Model, examples: Sequence[Example]) -> tuple[NodeScores, ...]:
    """Return every head's scores on these examples under the default config, without p-values."""
    config = resolve_config(ProbeConfig(shuffles=0), str(model.folder), model.folder)
    monitor, pairs = SilentMonitor(), pair_rows(examples)
    captured = read_examples(model, examples, config, monitor, None, pairs, config.nodes)
    outputs, layout = node_outputs(model, captured, at_own_position=True), model.layout(config.nodes)
    inputs = NodeCodes(outputs, pairs, layout, config)
    table = ScoreTable(outputs.whole, examples, config, layout, length=inputs.length, direct=direct_effects(captured))
    saes = inputs.train(table.rows, table.positive, table.pairs, monitor, lambda _codes: None)
    return table.final(inputs.codes(saes), monitor)[0]
