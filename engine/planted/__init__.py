"""Models whose circuits are true by construction: PLANTED lists them, engine.planted.build writes them."""

from engine.catalog.planted_models import PLANTED, Planted, PlantedCircuit

__all__ = ["PLANTED", "Planted", "PlantedCircuit"]
