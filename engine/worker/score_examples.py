"""The scores of a probe, without its reports, arrays and significance."""

from collections.abc import Sequence

from engine.capture.head_outputs import head_outputs, read_examples
from engine.catalog.recommended_config import resolve_config
from engine.config import ProbeConfig
from engine.events import SilentMonitor
from engine.examples import Example
from engine.models.loading import Model
from engine.results import HeadScores
from engine.sae.training import codes_of, contrast_lengths, prepare, train_saes
from engine.scoring.score_table import ScoreTable, pair_rows


def score_examples(model: Model, examples: Sequence[Example]) -> tuple[HeadScores, ...]:
    """Return every head's scores on these examples under the default config, without p-values."""
    config = resolve_config(ProbeConfig(shuffles=0), str(model.folder), model.folder)
    monitor, pairs = SilentMonitor(), pair_rows(examples)
    captured = read_examples(model, examples, config, monitor, None, pairs)
    outputs = head_outputs(model, captured.z)
    apart = None if captured.apart is None else head_outputs(model, captured.apart)
    shape = (pairs.to(outputs.device), model.info.n_heads, config.sae, apart)
    x = prepare(outputs, *shape)
    table = ScoreTable(outputs, examples, config, model.info.n_heads, length=contrast_lengths(x, outputs, *shape))
    counted = x[table.rows.to(x.device)] if table.repeats else x
    saes = train_saes(counted, table.positive, config, monitor, lambda _codes: None, table.pairs)
    return table.final(codes_of(saes, x), monitor)[0]
