"""Building the hand-written models on demand.

May import: catalog, install, tasks.
"""

from engine.catalog.planted_models import PLANTED, Planted, PlantedCircuit

__all__ = ["PLANTED", "Planted", "PlantedCircuit"]
