"""Define the store's tables as a list of migrations; new ones are only appended."""

from typing import NamedTuple

from sessions.store.views import VIEWS as VIEWS


class Migration(NamedTuple):
    """One step from a schema version to the next; its number is its position in the list, from 1."""

    about: str
    statements: tuple[str, ...]
    refold: bool = False
    """Whether the projection of the log into these tables changed: see sessions.store.refold."""


# Rules for every migration: no foreign keys (DuckDB has no cascade and blocks dropping columns of parents), no list
# columns in tables whose rows are updated (an update becomes delete + insert and violates the key), times as
# microseconds UTC (TIMESTAMPTZ needs pytz), indexes only where they prevent duplicates.
MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        "sessions, their event log and what is read from it",
        (
            """CREATE TABLE session (
                session_id VARCHAR PRIMARY KEY,
                name VARCHAR NOT NULL,
                model VARCHAR NOT NULL,
                task VARCHAR,
                pairs INTEGER NOT NULL,
                task_seed BIGINT NOT NULL,
                created_us BIGINT NOT NULL,
                updated_us BIGINT NOT NULL)""",
            """CREATE TABLE event (
                session_id VARCHAR NOT NULL,
                seq BIGINT NOT NULL,
                at_us BIGINT NOT NULL,
                run_id VARCHAR,
                kind VARCHAR NOT NULL,
                version SMALLINT NOT NULL,
                payload JSON USING COMPRESSION zstd NOT NULL,
                PRIMARY KEY (session_id, seq))""",
            """CREATE TABLE example_set (
                session_id VARCHAR NOT NULL,
                version INTEGER NOT NULL,
                content_hash VARCHAR NOT NULL,
                n_positive INTEGER NOT NULL,
                n_negative INTEGER NOT NULL,
                created_us BIGINT NOT NULL)""",
            """CREATE TABLE example (
                content_hash VARCHAR NOT NULL,
                position INTEGER NOT NULL,
                prompt VARCHAR NOT NULL,
                polarity VARCHAR NOT NULL,
                expected VARCHAR[] NOT NULL,
                foils VARCHAR[] NOT NULL,
                pair BIGINT,
                enabled BOOLEAN NOT NULL)""",
            """CREATE TABLE run (
                run_id VARCHAR PRIMARY KEY,
                session_id VARCHAR NOT NULL,
                number INTEGER NOT NULL,
                state VARCHAR NOT NULL,
                model VARCHAR NOT NULL,
                task VARCHAR,
                config JSON NOT NULL,
                device_asked VARCHAR NOT NULL,
                queued_us BIGINT NOT NULL,
                started_us BIGINT,
                ended_us BIGINT,
                failure JSON,
                model_name VARCHAR,
                model_identity VARCHAR,
                n_layers INTEGER,
                n_heads INTEGER,
                d_model INTEGER,
                d_head INTEGER,
                context INTEGER,
                vocabulary INTEGER,
                headcode VARCHAR,
                python VARCHAR,
                torch VARCHAR,
                transformer_lens VARCHAR,
                device VARCHAR,
                warm BOOLEAN,
                content_hash VARCHAR,
                n_positive INTEGER,
                n_negative INTEGER,
                n_broken INTEGER,
                reference JSON,
                circuit JSON,
                circuit_softmax JSON,
                timings JSON,
                cached BOOLEAN,
                sae_sha256 VARCHAR)""",
            """CREATE TABLE step (
                run_id VARCHAR NOT NULL,
                seed BIGINT NOT NULL,
                step INTEGER NOT NULL,
                reconstruction DOUBLE,
                sparsity DOUBLE,
                moving INTEGER)""",
            """CREATE TABLE code (
                run_id VARCHAR NOT NULL,
                seed BIGINT NOT NULL,
                example INTEGER NOT NULL,
                codes INTEGER[] NOT NULL)""",
            """CREATE TABLE node_score (
                run_id VARCHAR NOT NULL,
                final BOOLEAN NOT NULL,
                layer INTEGER NOT NULL,
                head INTEGER NOT NULL,
                unique_positive DOUBLE,
                unique_negative DOUBLE,
                unique_normalised DOUBLE,
                overlap DOUBLE,
                mutual_information DOUBLE,
                total_variation DOUBLE,
                unique_share DOUBLE,
                paired_flips DOUBLE,
                from_edges DOUBLE,
                p_value DOUBLE,
                q_value DOUBLE,
                stability DOUBLE,
                silent DOUBLE,
                baseline_mean_difference DOUBLE,
                baseline_paired_difference DOUBLE,
                baseline_linear_probe DOUBLE,
                baseline_random DOUBLE)""",
            """CREATE TABLE edge_score (
                run_id VARCHAR NOT NULL,
                place INTEGER NOT NULL,
                source_layer INTEGER NOT NULL,
                source_head INTEGER NOT NULL,
                target_layer INTEGER NOT NULL,
                target_head INTEGER NOT NULL,
                score DOUBLE NOT NULL)""",
            """CREATE TABLE grade (
                run_id VARCHAR NOT NULL,
                example INTEGER NOT NULL,
                verdict VARCHAR NOT NULL,
                reason VARCHAR NOT NULL,
                n_tokens INTEGER NOT NULL,
                probability DOUBLE,
                rank INTEGER,
                says VARCHAR NOT NULL,
                says_probability DOUBLE NOT NULL,
                equal_length BOOLEAN)""",
        ),
    ),
    Migration(
        "undo, names, tags, notes, the trash, kept circuits, what was verified",
        (
            "ALTER TABLE session ADD COLUMN examples_version INTEGER",
            "ALTER TABLE session ADD COLUMN trashed_us BIGINT",
            "ALTER TABLE session ADD COLUMN origin JSON",
            """UPDATE session SET examples_version = (
                SELECT max(version) FROM example_set e WHERE e.session_id = session.session_id)""",
            "ALTER TABLE example_set ADD COLUMN parent INTEGER",
            "UPDATE example_set SET parent = version - 1 WHERE version > 1",
            "ALTER TABLE run ADD COLUMN again VARCHAR",
            "ALTER TABLE run ADD COLUMN verified JSON",
            "ALTER TABLE run ADD COLUMN measure VARCHAR",
            "ALTER TABLE run ADD COLUMN cut INTEGER",
            "CREATE TABLE tag (session_id VARCHAR NOT NULL, tag VARCHAR NOT NULL)",
            """CREATE TABLE note (
                session_id VARCHAR NOT NULL,
                note_id VARCHAR NOT NULL,
                run_id VARCHAR,
                layer INTEGER,
                head INTEGER,
                text VARCHAR NOT NULL,
                written_us BIGINT NOT NULL)""",
            """CREATE TABLE circuit (
                session_id VARCHAR NOT NULL,
                name VARCHAR NOT NULL,
                run_id VARCHAR,
                heads JSON NOT NULL,
                source VARCHAR NOT NULL,
                kept_us BIGINT NOT NULL)""",
            """CREATE TABLE cause (
                run_id VARCHAR NOT NULL,
                method VARCHAR NOT NULL,
                metric VARCHAR NOT NULL,
                replacement VARCHAR NOT NULL,
                position VARCHAR NOT NULL,
                base DOUBLE NOT NULL,
                n_examples INTEGER NOT NULL,
                final BOOLEAN NOT NULL,
                layer INTEGER NOT NULL,
                head INTEGER NOT NULL,
                effect DOUBLE NOT NULL,
                error DOUBLE)""",
            """CREATE TABLE circuit_check (
                run_id VARCHAR NOT NULL,
                name VARCHAR NOT NULL,
                faithfulness DOUBLE,
                completeness DOUBLE,
                area DOUBLE,
                found JSON NOT NULL)""",
        ),
    ),
    Migration(
        "the length of heads' contrasts",
        ("ALTER TABLE node_score ADD COLUMN contrast_length DOUBLE",),
    ),
    Migration(
        "effects put together over measurements, and whose examples a run's are",
        (
            "ALTER TABLE run ADD COLUMN made BOOLEAN",
            "ALTER TABLE run ADD COLUMN offered JSON",
            "ALTER TABLE cause ADD COLUMN size DOUBLE",
            "ALTER TABLE cause ADD COLUMN alone DOUBLE",
            "ALTER TABLE cause ADD COLUMN measured_us BIGINT",
            "ALTER TABLE cause ADD COLUMN gradient_steps INTEGER",
            "ALTER TABLE cause ADD COLUMN after VARCHAR",
            "ALTER TABLE cause ADD COLUMN after_name VARCHAR",
            "ALTER TABLE cause ADD COLUMN metric_because VARCHAR",
            "ALTER TABLE cause ADD COLUMN left_over DOUBLE",
            "ALTER TABLE cause ADD COLUMN seq BIGINT",
        ),
        refold=True,
    ),
    Migration(
        "measures without a column of their own",
        ("ALTER TABLE node_score ADD COLUMN other JSON",),
    ),
    Migration(
        "MLPs and the embedding beside heads",
        (
            "ALTER TABLE run ADD COLUMN nodes VARCHAR",
            "ALTER TABLE run ADD COLUMN parallel_mlps BOOLEAN",
            "UPDATE run SET nodes = 'heads', parallel_mlps = false WHERE n_layers IS NOT NULL",
        ),
    ),
    Migration(
        "sweeps, their units, and the unit that a run is of",
        (
            "ALTER TABLE run ADD COLUMN unit_key VARCHAR",
            """CREATE TABLE sweep (
                session_id VARCHAR NOT NULL,
                sweep_id VARCHAR NOT NULL,
                name VARCHAR NOT NULL,
                planned_us BIGINT NOT NULL)""",
            """CREATE TABLE sweep_unit (
                session_id VARCHAR NOT NULL,
                sweep_id VARCHAR NOT NULL,
                seq BIGINT NOT NULL,
                place INTEGER NOT NULL,
                unit_key VARCHAR NOT NULL,
                labels JSON NOT NULL,
                model VARCHAR NOT NULL,
                draw BIGINT NOT NULL)""",
        ),
    ),
    Migration(
        "names and tags of runs",
        (
            "ALTER TABLE run ADD COLUMN name VARCHAR",
            "ALTER TABLE run ADD COLUMN tags JSON",
        ),
    ),
    Migration(
        "atlases: models' heads and MLPs on ordinary text",
        (
            """CREATE TABLE atlas (
                atlas VARCHAR NOT NULL,
                model VARCHAR NOT NULL,
                asked VARCHAR NOT NULL,
                identity VARCHAR NOT NULL,
                corpus VARCHAR NOT NULL,
                digest VARCHAR NOT NULL,
                tokens BIGINT NOT NULL,
                passages INTEGER NOT NULL,
                seconds DOUBLE NOT NULL,
                made_us BIGINT NOT NULL,
                body BLOB NOT NULL)""",
            """CREATE TABLE atlas_node (
                atlas VARCHAR NOT NULL,
                layer INTEGER NOT NULL,
                head INTEGER NOT NULL,
                previous DOUBLE,
                induction DOUBLE,
                duplicate DOUBLE,
                induction_text DOUBLE,
                duplicate_text DOUBLE,
                first DOUBLE,
                itself DOUBLE,
                entropy DOUBLE,
                "offset" DOUBLE,
                norm DOUBLE,
                share DOUBLE,
                copying DOUBLE)""",
        ),
    ),
)

SCHEMA_VERSION = len(MIGRATIONS)

PROJECTIONS = (
    "session",
    "example_set",
    "example",
    "run",
    "step",
    "node_score",
    "edge_score",
    "grade",
    "tag",
    "note",
    "circuit",
    "cause",
    "circuit_check",
    "sweep",
    "sweep_unit",
)
"""Tables that are projections of the event log.

`code` is not: its arrays came as files, not as events. Nor are `atlas` and `atlas_node`: they belong to models.
"""

META = "CREATE TABLE IF NOT EXISTS meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL)"
