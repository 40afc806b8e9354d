"""Build the hand-written models on demand.

May import: root modules, catalog, install, tasks.
"""

from engine.catalog.planted_models import PLANTED, PlantedCircuit, PlantedModel

__all__ = ["PLANTED", "PlantedCircuit", "PlantedModel"]
