"""Define the views of `headcode sql`, with readable names and units; docs/sql.md describes every column.

Sessions in the trash are in none of them. Columns are added at the end and never renamed.
"""

_RUN = "JOIN run AS r ON r.run_id = {table}.run_id JOIN session AS s ON s.session_id = r.session_id"
_LIVING = "WHERE s.trashed_us IS NULL"
_NODE = "{layer} * 65536 + {head}"
"""A head as one number: lists of numbers are searched faster than lists of lists."""


DTYPE = (
    "CASE WHEN r.device IS NOT NULL THEN coalesce((SELECT max_by(payload->>'$.versions.dtype', seq) FROM event "
    "WHERE event.session_id = r.session_id AND event.run_id = r.run_id AND kind = 'model_ready'), 'float32') END"
)
"""SQL for the precision of run `r`, which no table holds; NULL if its model was not loaded.

Earlier versions recorded none and loaded every model in float32.
"""


def _name(layer: str, head: str) -> str:
    """Return SQL for a node as text (engine.nodes): 9.6, m8, emb."""
    return f"CASE WHEN {layer} < 0 THEN 'emb' WHEN {head} < 0 THEN 'm' || {layer} ELSE {layer} || '.' || {head} END"


def _kind(layer: str, head: str) -> str:
    return f"CASE WHEN {layer} < 0 THEN 'embedding' WHEN {head} < 0 THEN 'mlp' ELSE 'head' END"


def _number(column: str) -> str:
    """Return SQL for a layer or head; NULL for the embedding's layer, and for the head of what is no head."""
    return f"CASE WHEN {column} >= 0 THEN {column} END"


def _nodes(column: str) -> str:
    """Return SQL for the heads of a JSON column, as numbers."""
    number = _NODE.format(layer="each[1]", head="each[2]")
    return f"list_transform(CAST({column} AS INTEGER[][]), lambda each: {number})"


def _of_runs(columns: str, table: str) -> str:
    """Return SQL that joins rows of a table to their run and session."""
    return f"SELECT {columns} FROM {table} {_RUN.format(table=table)} {_LIVING}"  # noqa: S608  # names of our own


PLACE_LAYER = (
    "CAST(CASE WHEN c.place < r.n_layers * r.n_heads THEN c.place // r.n_heads "
    "WHEN c.place > r.n_layers * r.n_heads THEN c.place - r.n_layers * r.n_heads - 1 END AS INTEGER)"
)
"""SQL for the layer of a place in a row of codes (NodeLayout); NULL for the embedding."""
PLACE_HEAD = "CAST(CASE WHEN c.place < r.n_layers * r.n_heads THEN c.place % r.n_heads END AS INTEGER)"
"""SQL for the head of such a place; NULL for MLPs and the embedding."""

_BEST_FIRST = """layer < 0, CASE WHEN isnan(total_variation) THEN NULL ELSE total_variation END DESC NULLS LAST,
    contrast_length DESC NULLS LAST, CASE WHEN contrast_length IS NULL THEN NULL ELSE p_value END NULLS LAST,
    CASE WHEN contrast_length IS NULL THEN unique_positive END DESC,
    CASE WHEN contrast_length IS NULL THEN unique_share END DESC, layer, head"""
# As engine.analysis.ranking.ranked: heads and MLPs are ranked each among their own and merged by share.
# No EXCLUDE here: DuckDB 2.0.1 writes its columns in another order after reopening, and the view would be made anew at
# every start, which a full disk refuses.
_RANKED = f"""
    SELECT *, row_number() OVER (PARTITION BY run_id ORDER BY
        layer < 0, NOT (coalesce(total_variation, 0) > 0 AND NOT isnan(total_variation) AND silent < 1),
        (own - 1) / kinds, among) AS place
    FROM (SELECT *, row_number() OVER (PARTITION BY run_id ORDER BY {_BEST_FIRST}) AS among,
                 row_number() OVER (PARTITION BY run_id, layer < 0, head < 0 ORDER BY {_BEST_FIRST}) AS own,
                 count(*) OVER (PARTITION BY run_id, layer < 0, head < 0) AS kinds
          FROM node_score)"""  # noqa: S608  # names of our own


# A session imported as a copy has the units of the first once more: each is listed once.
# A unit's run is the newest that is done, else the newest, in whatever sweep or session.
SWEEP_UNITS = f"""
    SELECT t.sweep_id, w.name, w.planned_us, t.session_id, t.seq, t.place, t.unit_key, t.labels, t.model, t.draw,
           b.run_id, b.session_id AS run_session_id, b.session AS run_session, b.number, b.state, b.failure,
           b.started_us, b.ended_us, b.attempts
    FROM sweep_unit AS t JOIN sweep AS w ON w.session_id = t.session_id AND w.sweep_id = t.sweep_id
    JOIN session AS s ON s.session_id = t.session_id
    LEFT JOIN (SELECT r.unit_key, r.run_id, r.session_id, s.name AS session, r.number, r.state, r.failure, r.started_us,
                      r.ended_us, row_number() OVER (PARTITION BY r.unit_key
                          ORDER BY r.state <> 'done', r.queued_us DESC, r.run_id DESC) AS best,
                      count(*) OVER (PARTITION BY r.unit_key) AS attempts
               FROM run AS r JOIN session AS s ON s.session_id = r.session_id
               WHERE r.unit_key IS NOT NULL AND s.trashed_us IS NULL) AS b ON b.unit_key = t.unit_key AND b.best = 1
    {_LIVING} QUALIFY row_number() OVER (PARTITION BY t.sweep_id, CAST(t.labels AS VARCHAR)
        ORDER BY w.planned_us DESC, t.session_id, t.seq, t.place) = 1"""  # noqa: S608  # names of our own


BIRTHS = "births"
"""The view whose rows are computed when a query names it."""
_BIRTH_TYPES = {
    "sweep_id": "VARCHAR",
    "sweep": "VARCHAR",
    "labels": "JSON",
    "measure": "VARCHAR",
    "kind": "VARCHAR",
    "node": "VARCHAR",
    "place": "INTEGER",
    "verdict": "VARCHAR",
    "midpoint": "DOUBLE",
    "earliest": "DOUBLE",
    "latest": "DOUBLE",
    "begins": "DOUBLE",
    "ends": "DOUBLE",
    "width": "DOUBLE",
    "unfinished": "BOOLEAN",
    "before": "DOUBLE",
    "after": "DOUBLE",
    "explained": "DOUBLE",
    "steps_before": "DOUBLE",
    "steps_before_least": "DOUBLE",
    "steps_before_most": "DOUBLE",
    "draws": "INTEGER",
    "checkpoints": "INTEGER",
}
BIRTH_COLUMNS = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in _BIRTH_TYPES.items())
N_BIRTH_COLUMNS = len(_BIRTH_TYPES)

VIEWS: dict[str, str] = {
    "sessions": """
        SELECT s.session_id, s.name, s.model, s.task,
               make_timestamp(s.created_us) AS created, make_timestamp(s.updated_us) AS changed,
               coalesce(r.runs, 0) AS runs, coalesce(e.n_positive, r.n_positive, 0) AS positives,
               coalesce(e.n_negative, r.n_negative, 0) AS negatives, coalesce(t.tags, []) AS tags
        FROM session AS s
        LEFT JOIN (SELECT session_id, count(*) AS runs, max_by(n_positive, number) AS n_positive,
                          max_by(n_negative, number) AS n_negative
                   FROM run GROUP BY session_id) AS r ON r.session_id = s.session_id
        LEFT JOIN example_set AS e ON e.session_id = s.session_id AND e.version = s.examples_version
        LEFT JOIN (SELECT session_id, list(tag ORDER BY tag) AS tags FROM tag GROUP BY session_id) AS t
        ON t.session_id = s.session_id
        WHERE s.trashed_us IS NULL""",
    "runs": f"""
        SELECT r.run_id, r.session_id, s.name AS session, r.number, r.state, r.model,
               CASE WHEN r.made IS NOT FALSE THEN r.task END AS task,
               make_timestamp(r.queued_us) AS asked, make_timestamp(r.started_us) AS started,
               make_timestamp(r.ended_us) AS ended, (r.ended_us - r.started_us) / 1e6 AS seconds,
               r.n_layers AS layers, r.n_heads AS heads, r.n_positive AS positives, r.n_negative AS negatives,
               r.n_broken AS broken, CAST(r.config->>'$.sae.n_codes' AS INTEGER) AS codes,
               CAST(r.config->>'$.sae.sparsity' AS DOUBLE) AS sparsity_weight,
               CAST(r.config->>'$.sae.steps' AS INTEGER) AS steps, CAST(r.config->'$.seeds' AS BIGINT[]) AS seeds,
               r.config->>'$.position' AS position, r.circuit->>'$' IS NOT NULL AS complete,
               len(CAST(r.circuit AS INTEGER[][])) AS circuit_size, r.reference->>'$.name' AS reference,
               r.failure->>'$.message' AS failure, r.verified->>'$.verdict' AS verified, r.device,
               r.model_identity, r.content_hash AS examples_hash, r.cached, r.again,
               coalesce(r.reference->>'$.kind', CASE WHEN r.reference IS NOT NULL THEN 'known' END) AS reference_kind,
               coalesce(r.offered->>'$.name', r.reference->>'$.name') AS known_circuit, {DTYPE} AS dtype,
               r.name, CAST(coalesce(r.tags, '[]') AS VARCHAR[]) AS tags
        FROM run AS r JOIN session AS s ON s.session_id = r.session_id
        WHERE s.trashed_us IS NULL""",  # noqa: S608
    # Heads are ranked before the join with runs, and a circuit is unpacked once, not per head: over 20,000 runs the
    # ranks take 3 s of CPU time instead of 5, and circuit membership .4 instead of 5.
    "nodes": f"""
        SELECT n.run_id, {_number("n.layer")} AS layer, {_number("n.head")} AS head,
               {_name("n.layer", "n.head")} AS node, n.place,
               coalesce(list_contains(r.circuit, {_NODE.format(layer="n.layer", head="n.head")}), false) AS in_circuit,
               list_contains(r.reference, {_NODE.format(layer="n.layer", head="n.head")}) AS in_reference,
               n.unique_positive, n.unique_negative, n.unique_normalised, n.unique_share, n.overlap,
               n.mutual_information, n.total_variation, n.paired_flips, n.from_edges, n.p_value, n.q_value,
               n.stability, n.silent, n.baseline_mean_difference, n.baseline_paired_difference,
               n.baseline_linear_probe, n.baseline_random, n.contrast_length, n.final, r.session_id, n.other,
               {_kind("n.layer", "n.head")} AS kind
        FROM ({_RANKED}) AS n
        JOIN (SELECT run.run_id, run.session_id, {_nodes("circuit")} AS circuit,
                     {_nodes("reference->'$.heads'")} AS reference
              FROM run JOIN session AS s ON s.session_id = run.session_id {_LIVING}) AS r ON r.run_id = n.run_id""",  # noqa: S608
    "edges": _of_runs(
        f"edge_score.run_id, edge_score.place + 1 AS place, "
        f"{_name('edge_score.source_layer', 'edge_score.source_head')} AS source, "
        f"{_name('edge_score.target_layer', 'edge_score.target_head')} AS target, edge_score.score, "
        f"{_number('edge_score.source_layer')} AS source_layer, {_number('edge_score.source_head')} AS source_head, "
        f"{_number('edge_score.target_layer')} AS target_layer, {_number('edge_score.target_head')} AS target_head, "
        "r.session_id",
        "edge_score",
    ),
    "codes": f"""
        SELECT c.run_id, c.seed, c.example, {PLACE_LAYER} AS layer, {PLACE_HEAD} AS head, c.code,
               CASE WHEN c.place < r.n_layers * r.n_heads THEN {PLACE_LAYER} || '.' || {PLACE_HEAD}
                    ELSE coalesce('m' || {PLACE_LAYER}, 'emb') END AS node
        FROM (SELECT run_id, seed, example, unnest(codes) AS code, generate_subscripts(codes, 1) - 1 AS place
              FROM code) AS c
        JOIN run AS r ON r.run_id = c.run_id JOIN session AS s ON s.session_id = r.session_id
        WHERE s.trashed_us IS NULL""",  # noqa: S608
    "steps": _of_runs("step.run_id, step.seed, step.step, step.reconstruction, step.sparsity, step.moving", "step"),
    "examples": """
        SELECT r.run_id, e.position AS example, e.prompt, e.polarity, e.expected, e.foils, e.pair, r.session_id
        FROM run AS r JOIN example AS e ON e.content_hash = r.content_hash
        JOIN session AS s ON s.session_id = r.session_id
        WHERE s.trashed_us IS NULL""",
    "grades": _of_runs(
        "grade.run_id, grade.example, grade.verdict, grade.reason, grade.n_tokens, grade.probability, grade.rank, "
        "grade.says, grade.says_probability, grade.equal_length",
        "grade",
    ),
    "causes": _of_runs(
        f"cause.run_id, {_number('cause.layer')} AS layer, {_number('cause.head')} AS head, "
        f"{_name('cause.layer', 'cause.head')} AS node, cause.method, cause.metric, "
        "cause.effect, cause.error, cause.base, cause.replacement, cause.position, cause.n_examples, cause.final, "
        "cause.size, cause.alone, make_timestamp(cause.measured_us) AS measured, cause.gradient_steps, "
        f"list_transform(CAST(cause.after AS INTEGER[][]), lambda each: {_name('each[1]', 'each[2]')}) AS after, "
        "cause.after_name, cause.left_over, cause.metric_because",
        "cause",
    ),
    # No table holds them: the newest of each run is read from its log.
    "edge_effects": f"""
        SELECT e.run_id, CAST(e.place AS INTEGER) AS place, {_name("edge.source[1]", "edge.source[2]")} AS source,
               {_name("edge.target[1]", "edge.target[2]")} AS target, edge.effect, e.found->>'$.metric' AS metric,
               CAST(e.found->>'$.base' AS DOUBLE) AS base, e.found->>'$.replacement' AS replacement,
               CAST(e.found->>'$.n_examples' AS INTEGER) AS n_examples, {_number("edge.source[1]")} AS source_layer,
               {_number("edge.source[2]")} AS source_head, {_number("edge.target[1]")} AS target_layer,
               {_number("edge.target[2]")} AS target_head, r.session_id
        FROM (SELECT run_id, found, unnest(edges) AS edge, generate_subscripts(edges, 1) AS place
              FROM (SELECT run_id, found, json_transform(found->'$.edges',
                    '[{{"source": "INTEGER[]", "target": "INTEGER[]", "effect": "DOUBLE"}}]') AS edges
                    FROM (SELECT run_id, max_by(payload, seq) AS found FROM event
                          WHERE kind = 'edges_attributed' GROUP BY run_id))) AS e
        JOIN run AS r ON r.run_id = e.run_id JOIN session AS s ON s.session_id = r.session_id
        WHERE s.trashed_us IS NULL""",  # noqa: S608
    "checks": _of_runs(
        "circuit_check.run_id, circuit_check.name AS circuit, json_array_length(found->'$.heads') AS size, "
        "faithfulness, completeness, area, found->>'$.metric' AS metric, found->>'$.replacement' AS replacement, "
        "CAST(found->>'$.base' AS DOUBLE) AS base, CAST(found->>'$.n_examples' AS INTEGER) AS n_examples, "
        "len(list_filter(CAST(found->'$.random_faithfulness' AS DOUBLE[]), lambda one: one < faithfulness)) AS beaten, "
        "json_array_length(found->'$.random_faithfulness') AS random_circuits, "
        "json_transform(found->'$.curve', "
        """'[{"size": "INTEGER", "faithfulness": "DOUBLE", "completeness": "DOUBLE"}]') AS curve, """
        "json_transform(found->'$.minimality', "
        """'[{"layer": "INTEGER", "head": "INTEGER", "effect": "DOUBLE"}]') AS minimality""",
        "circuit_check",
    ),
    # No table holds them either. The answer shown and the cost are of one strength, which may be none of the curve.
    "steerings": f"""
        SELECT e.run_id, CAST(e.number AS INTEGER) AS number, e.plan->>'$.kind' AS kind,
               list_transform(CAST(e.plan->'$.nodes' AS INTEGER[][]),
                              lambda each: {_name("each[1]", "each[2]")}) AS nodes,
               CASE WHEN e.plan->>'$.kind' = 'code' THEN coalesce(CAST(e.plan->>'$.code' AS INTEGER), 0) END AS code,
               CASE WHEN e.plan->>'$.kind' = 'contrast' THEN coalesce(e.plan->>'$.source', 'node') END AS source,
               CAST(e.plan->>'$.seed' AS BIGINT) AS seed,
               CASE WHEN e.plan->>'$.where' = 'place' THEN coalesce(e.plan->>'$.place', '-1')
                    ELSE coalesce(e.plan->>'$.where', 'all') END AS at_tokens,
               CASE WHEN e.strength IS NOT NULL THEN CAST(e.found->>'$.unit' AS DOUBLE) END AS unit, e.strength,
               nullif(e.found->>'$.metric', '') AS metric,
               CASE WHEN e.found->>'$.metric' <> '' THEN CAST(e.found->>'$.base' AS DOUBLE) END AS base,
               e.point.effect AS effect, e.point.error AS error,
               CASE WHEN e.found->>'$.metric' <> '' THEN CAST(e.found->>'$.prompts' AS INTEGER) END AS prompts,
               len(e.point.random) AS random_directions, list_min(e.point.random) AS band_low,
               list_max(e.point.random) AS band_high,
               CASE WHEN len(e.point.random) > 0 THEN e.point.effect NOT BETWEEN list_min(e.point.random)
                    AND list_max(e.point.random) END AS outside,
               CASE WHEN e.strength IS NOT DISTINCT FROM e.shown THEN CAST(e.found->>'$.kl' AS DOUBLE) END AS kl,
               CASE WHEN e.strength IS NOT DISTINCT FROM e.shown THEN CAST(e.found->>'$.cost.before' AS DOUBLE)
                    - CAST(e.found->>'$.cost.after' AS DOUBLE) END AS cost,
               make_timestamp(e.at_us) AS recorded, r.session_id
        FROM (SELECT *, unnest(CASE WHEN list_contains(strengths, shown) THEN strengths ELSE strengths || [shown] END)
                     AS strength,
                     unnest(CASE WHEN list_contains(strengths, shown) THEN points ELSE points || [NULL] END) AS point
              FROM (SELECT *, list_transform(points, lambda each: each.strength) AS strengths
                    FROM (SELECT *, coalesce(json_transform(found->'$.points', '[{{"strength": "DOUBLE",
                                    "effect": "DOUBLE", "error": "DOUBLE", "random": "DOUBLE[]"}}]'), []) AS points,
                                 CASE WHEN plan->>'$.kind' IN ('code', 'contrast')
                                      THEN coalesce(CAST(plan->>'$.strength' AS DOUBLE), 1) END AS shown
                          FROM (SELECT run_id, at_us, payload->'$.plan' AS plan, payload->'$.result' AS found,
                                       row_number() OVER (PARTITION BY session_id, run_id ORDER BY seq) AS number
                                FROM event WHERE kind = 'steered')))) AS e
        JOIN run AS r ON r.run_id = e.run_id JOIN session AS s ON s.session_id = r.session_id
        WHERE s.trashed_us IS NULL""",  # noqa: S608
    "notes": f"""
        SELECT n.note_id, n.session_id, s.name AS session, n.run_id, r.number AS run,
               {_number("n.layer")} AS layer, {_number("n.head")} AS head, n.text,
               make_timestamp(n.written_us) AS written
        FROM note AS n JOIN session AS s ON s.session_id = n.session_id LEFT JOIN run AS r ON r.run_id = n.run_id
        WHERE s.trashed_us IS NULL""",  # noqa: S608
    "tags": """
        SELECT t.session_id, s.name AS session, t.tag
        FROM tag AS t JOIN session AS s ON s.session_id = t.session_id
        WHERE s.trashed_us IS NULL""",
    "circuits": f"""
        SELECT c.session_id, s.name AS session, c.name, c.run_id, {_number("place[1]")} AS layer,
               {_number("place[2]")} AS head, {_name("place[1]", "place[2]")} AS node,
               c.source, make_timestamp(c.kept_us) AS kept
        FROM (SELECT session_id, name, run_id, source, kept_us, unnest(CAST(heads AS INTEGER[][])) AS place
              FROM circuit) AS c
        JOIN session AS s ON s.session_id = c.session_id
        WHERE s.trashed_us IS NULL""",  # noqa: S608
    "sweeps": f"""
        SELECT u.sweep_id, any_value(u.name) AS name, make_timestamp(max(u.planned_us)) AS planned, count(*) AS units,
               count(*) FILTER (u.state = 'done') AS done, count(*) FILTER (u.state = 'failed') AS failed,
               count(*) FILTER (u.state IN ('queued', 'running')) AS running,
               count(*) FILTER (u.state IN ('stopped', 'interrupted')) AS interrupted,
               count(DISTINCT u.session_id) AS sessions
        FROM ({SWEEP_UNITS}) AS u GROUP BY u.sweep_id""",  # noqa: S608
    "sweep_runs": f"""
        SELECT u.sweep_id, u.name AS sweep, u.unit_key, u.labels, u.model, CAST(u.draw AS INTEGER) AS draw,
               coalesce(u.state, 'waiting') AS state, u.run_id, u.run_session_id AS session_id,
               u.run_session AS session,
               u.number, (u.ended_us - u.started_us) / 1e6 AS seconds, u.failure->>'$.message' AS failure,
               coalesce(u.attempts, 0) AS attempts
        FROM ({SWEEP_UNITS}) AS u""",  # noqa: S608
    "atlases": """
        SELECT atlas, model, identity AS model_identity, corpus, digest AS corpus_hash, tokens, passages, seconds,
               make_timestamp(made_us) AS made, octet_length(body) AS bytes
        FROM atlas""",
    "atlas_nodes": f"""
        SELECT n.atlas, a.model, {_number("n.layer")} AS layer, {_number("n.head")} AS head,
               {_name("n.layer", "n.head")} AS node, {_kind("n.layer", "n.head")} AS kind, n.previous, n.induction,
               n.duplicate, n.induction_text, n.duplicate_text, n.first, n.itself, n.entropy, n."offset", n.norm,
               n.share, n.copying, a.identity AS model_identity
        FROM atlas_node AS n JOIN atlas AS a ON a.atlas = n.atlas""",  # noqa: S608
    # Fits are no SQL: the host fills a temporary table of this name before a query that names it (BIRTHS).
    "births": f"SELECT {BIRTH_COLUMNS} WHERE false",
}
"""Created again when their text changed: views hold no data, and a foreign view must not replace ours."""
