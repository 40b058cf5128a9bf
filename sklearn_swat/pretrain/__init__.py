"""Pretraining of the autoencoder: `python -m sklearn_swat.pretrain`."""
