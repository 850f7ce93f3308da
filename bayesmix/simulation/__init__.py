"""Data from models stated by numbers: simulation, power, calibration."""

from bayesmix.simulation.calibrate import CalibrationRanks, calibrate
from bayesmix.simulation.power import Power, power
from bayesmix.simulation.scenario import Scenario, simulate

__all__ = ["CalibrationRanks", "Power", "Scenario", "calibrate", "power", "simulate"]
