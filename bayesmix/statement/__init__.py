"""The model as stated: names, words, LaTeX and PyMC; all that results know of a model."""
