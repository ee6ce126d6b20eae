"""Patient 5 of the training clinic, assignment 08."""

from minigrad.experiments._clinic import CHANGES, REQUIRES, SETTINGS, patient

__all__ = ["CHANGES", "REQUIRES", "SETTINGS", "run"]

run = patient(5)
