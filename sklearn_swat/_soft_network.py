"""Soft networks: batches of small MLPs that gradient descent can reshape.

A candidate's free numbers are its :class:`NetworkScores`: weights, biases, and
scores for the activation and the existence of every neuron. Sharpening turns
them into a :class:`SoftNetwork`, the thing that computes. At sharpness 0 each
neuron mixes its activations and every gate is ajar; at sharpness 1 each neuron
has one activation, gates are open or shut and weights under the threshold are
zero: the soft network then *is* the hard one, which :func:`harden` reads off.

Shapes: C candidates sorted by depth, d features, L layers (the largest depth),
H slots (neurons per layer), k outputs, A activations, N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ._activations import ACTIVATION_NAMES, ACTIVATIONS
from ._network import SparseMLP


@dataclass(frozen=True)
class Layers:
    """What scores and soft networks share: the affine parts of C networks.

    Attributes
    ----------
    w_in : Tensor of shape (C, d, H)
    w_hidden : Tensor of shape (C, L - 1, H, H)
        ``w_hidden[:, l]`` leads from hidden layer ``l + 1`` to ``l + 2``.
    w_out : Tensor of shape (C, H, k)
        From the last hidden layer, whichever that is.
    b_hidden : Tensor of shape (C, L, H)
    b_out : Tensor of shape (C, k)
    depths : tuple of int of length C, ascending
        Layers beyond a candidate's depth exist in the arrays and are not used.
    """

    w_in: Tensor
    w_hidden: Tensor
    w_out: Tensor
    b_hidden: Tensor
    b_out: Tensor
    depths: tuple[int, ...]

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "depths"}

    def depth_tensor(self) -> Tensor:
        """Return the depths as a tensor (C,).

        On a GPU it is filled there: a CUDA graph cannot copy from the host.
        """
        if self.w_in.device.type == "cpu":
            return torch.as_tensor(self.depths)
        parts = [
            torch.full((self.depths.count(depth),), depth, device=self.w_in.device)
            for depth in sorted(set(self.depths))
        ]
        return torch.cat(parts)

    def live_layers(self) -> Tensor:
        """Return a (C, L) tensor: 1 where a candidate has that hidden layer, else 0."""
        layers = torch.arange(self.b_hidden.shape[1], device=self.w_in.device)[None]
        return (layers < self.depth_tensor()[:, None]).to(self.w_in.dtype)

    def rescale_outputs(self, scale: Tensor, shift: Tensor) -> Self:
        """Fold ``raw * scale + shift`` into the last layer.

        Parameters
        ----------
        scale, shift : Tensor of shape (k,) or (C, k)
        """
        scale, shift = scale.expand_as(self.b_out), shift.expand_as(self.b_out)
        return replace(self, w_out=self.w_out * scale[:, None, :], b_out=self.b_out * scale + shift)


@dataclass(frozen=True)
class NetworkScores(Layers):
    """The free numbers of C candidates: what the decoder writes.

    Attributes
    ----------
    activation_scores : Tensor of shape (C, L, H, A)
    gate_scores : Tensor of shape (C, L, H)
        A neuron with a positive score exists once hardened.
    """

    activation_scores: Tensor
    gate_scores: Tensor


@dataclass(frozen=True)
class SoftNetwork(Layers):
    """C networks that compute.

    Attributes
    ----------
    mixture : Tensor of shape (C, L, H, A)
        The share of each activation in each neuron; sums to 1 over the last axis.
    gates : Tensor of shape (C, L, H)
        What each neuron's activation is multiplied by, from 0 to 1.
    """

    mixture: Tensor
    gates: Tensor

    def take(self, index: Tensor) -> SoftNetwork:
        """Return the candidates at `index`, in that order (ascending in depth)."""
        depths = tuple(self.depths[i] for i in index.tolist())
        return SoftNetwork(**{n: t[index] for n, t in self.tensors().items()}, depths=depths)

    def detach(self) -> SoftNetwork:
        """Return the same networks, cut off from the graph."""
        parts = {name: tensor.detach() for name, tensor in self.tensors().items()}
        return SoftNetwork(**parts, depths=self.depths)

    def __call__(self, X: Tensor) -> Tensor:
        """Compute the raw outputs of every candidate.

        Parameters
        ----------
        X : Tensor of shape (N, d), or (C, N, d) with rows of their own

        Returns
        -------
        Tensor of shape (C, N, k)
        """
        return self.read_out(self.last_hidden(X))

    def read_out(self, hidden: Tensor) -> Tensor:
        """Compute raw outputs (C, N, k) from the last hidden layer's (C, N, H)."""
        return torch.baddbmm(self.b_out[:, None], hidden, self.w_out)

    def last_hidden(self, X: Tensor) -> Tensor:
        """Compute what each candidate's last hidden layer puts out: the one forward pass.

        Parameters
        ----------
        X : Tensor of shape (N, d), or (C, N, d) with rows of their own

        Returns
        -------
        Tensor of shape (C, N, H)
        """
        hidden = torch.matmul(X, self.w_in) + self.b_hidden[:, 0, None]  # (C, N, H)
        shares = (self.mixture * self.gates[..., None]).unbind(1)  # of L layers, (C, H, A)
        weights, biases = self.w_hidden.unbind(1), self.b_hidden[:, :, None].unbind(1)
        finished, first = [], 0
        for layer in range(len(biases)):
            if layer:
                hidden = torch.baddbmm(biases[layer][first:], hidden, weights[layer - 1][first:])
            hidden = _activate(hidden, shares[layer][first:])
            n_done = sum(depth == layer + 1 for depth in self.depths[first:])
            done, hidden = hidden.split([n_done, len(hidden) - n_done])
            finished.append(done)
            first += n_done
        return finished[0] if len(finished) == 1 else torch.cat(finished)


def _activate(z: Tensor, shares: Tensor) -> Tensor:
    """Mix the activations of z (C, N, H) by their shares (C, H, A)."""
    parts = [
        activation.torch(z) * share
        for activation, share in zip(ACTIVATIONS.values(), shares[:, None].unbind(-1), strict=True)
    ]
    return parts[0] + parts[1] + parts[2] + parts[3]


def sharpen(
    scores: NetworkScores,
    sharpness: float | Tensor,
    *,
    threshold: Tensor | None = None,
    allowed: Tensor | None = None,
) -> SoftNetwork:
    """Turn scores into a network that computes.

    Parameters
    ----------
    scores : NetworkScores
    sharpness : float in [0, 1], or Tensor of shape ()
        0: activations mixed at temperature 0.5, gates of slope 2. Rises
        geometrically; at 1 everything is hard, and gradients pass straight
        through as if it were 0, so that descent can go on. A tensor is below 1.
    threshold : Tensor of shape (C,), optional
        Weights of smaller magnitude fade (and at sharpness 1 vanish): the
        trainable threshold of arXiv 2410.08339. None leaves every weight.
    allowed : bool Tensor of shape (A,) or (C, 1, 1, A), optional
        Activations that may be used; None allows all.

    Returns
    -------
    SoftNetwork
    """
    hard = _is_hard(sharpness)
    soft_at = 0.0 if hard else sharpness
    activation_scores = scores.activation_scores
    if allowed is not None:
        activation_scores = activation_scores.masked_fill(~allowed, -1e4)
    mixture = (activation_scores / (0.5 * 0.04**soft_at)).softmax(-1)
    gates = (scores.gate_scores * (2 * 25**soft_at)).sigmoid()
    if hard:
        best = activation_scores.argmax(-1, keepdim=True)
        one_hot = torch.zeros_like(mixture).scatter(-1, best, 1.0)
        mixture = _straight_through(one_hot, mixture)
        gates = _straight_through((scores.gate_scores > 0).to(gates.dtype), gates)
    weights = {name: getattr(scores, name) for name in ("w_in", "w_hidden", "w_out")}
    if threshold is not None:
        weights = {name: w * presence(w, threshold, sharpness) for name, w in weights.items()}
    return SoftNetwork(
        **weights,
        b_hidden=scores.b_hidden,
        b_out=scores.b_out,
        depths=scores.depths,
        mixture=mixture,
        gates=gates,
    )


def presence(weight: Tensor, threshold: Tensor, sharpness: float | Tensor) -> Tensor:
    """Say how much each weight is there: the soft count's summand.

    ``sigmoid(slope * (abs(w) - t))`` with a slope that rises from 20 (arXiv
    2506.08270) to 200, and the step function at sharpness 1.

    Parameters
    ----------
    weight : Tensor of shape (C, ...)
    threshold : Tensor of shape (C,)
    sharpness : float in [0, 1], or Tensor of shape ()
        As of `sharpen`.

    Returns
    -------
    Tensor of the shape of `weight`, from 0 to 1
    """
    excess = weight.abs() - per_candidate(threshold, weight)
    hard = _is_hard(sharpness)
    soft = (excess * (20 * 10 ** (0.0 if hard else sharpness))).sigmoid()
    return _straight_through((excess > 0).to(soft.dtype), soft) if hard else soft


def _is_hard(sharpness: float | Tensor) -> bool:
    return not isinstance(sharpness, Tensor) and sharpness >= 1


def per_candidate(numbers: Tensor, like: Tensor) -> Tensor:
    """Give numbers (C,) the axes that they need beside a tensor (C, ...)."""
    return numbers.view(-1, *[1] * (like.dim() - 1))


def _straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    return hard + (soft - soft.detach())


def harden(network: SoftNetwork, out_activation: str) -> list[SparseMLP]:
    """Read the hard networks off a soft network at sharpness 1.

    Parameters
    ----------
    network : SoftNetwork
        Sharpened at 1; at less, each neuron gets its largest activation and
        the outputs differ from the soft ones.
    out_activation : {"identity", "logistic", "softmax"}

    Returns
    -------
    list of C SparseMLP
    """
    arrays = {
        name: tensor.detach().to("cpu", torch.float64).numpy()
        for name, tensor in network.tensors().items()
    }
    choice = arrays["mixture"].argmax(-1)  # (C, L, H)
    is_live = arrays["gates"] > 0.5
    hardened = []
    for c, depth in enumerate(network.depths):
        weights = [arrays["w_in"][c], *arrays["w_hidden"][c, : depth - 1]]
        weights = [w * is_live[c, layer] for layer, w in enumerate(weights)]
        weights.append(arrays["w_out"][c])
        for layer in range(depth):  # a shut neuron has neither inputs nor outputs
            weights[layer + 1] = weights[layer + 1] * is_live[c, layer][:, None]
        biases = [*(arrays["b_hidden"][c, :depth] * is_live[c, :depth]), arrays["b_out"][c]]
        names = tuple(tuple(ACTIVATION_NAMES[a] for a in layer) for layer in choice[c, :depth])
        hardened.append(SparseMLP(tuple(weights), tuple(biases), names, out_activation))
    return hardened


def soften(networks: Sequence[SparseMLP], n_slots: int) -> SoftNetwork:
    """Lay hard networks out as a soft network of sharpness 1: the inverse of `harden`.

    Parameters
    ----------
    networks : sequence of SparseMLP, of ascending depth of at least 1
        All with the same numbers of features and outputs.
    n_slots : int
        Neurons per layer to make room for.

    Returns
    -------
    SoftNetwork, float32

    Raises
    ------
    ValueError
        If a network has more neurons in a layer than `n_slots`, or no hidden layer.
    """
    depths = tuple(network.depth for network in networks)
    C, L, H, A = len(networks), max(depths), n_slots, len(ACTIVATION_NAMES)
    d, k = networks[0].n_features, networks[0].n_outputs
    w_in, w_hidden, w_out = np.zeros((C, d, H)), np.zeros((C, L - 1, H, H)), np.zeros((C, H, k))
    b_hidden, b_out = np.zeros((C, L, H)), np.zeros((C, k))
    mixture, gates = np.zeros((C, L, H, A)), np.zeros((C, L, H))
    mixture[..., ACTIVATION_NAMES.index("identity")] = 1
    for c, network in enumerate(networks):
        sizes = network.hidden_layer_sizes
        if not sizes or max(sizes) > n_slots:
            raise ValueError(
                f"a network with hidden layers of {sizes} neurons does not fit: between 1 and "
                f"{n_slots} neurons per layer are possible here; raise max_width to "
                f"{max(sizes, default=1)} or more, or start from another network"
            )
        w_in[c, :, : sizes[0]] = network.weights[0]
        for layer in range(1, len(sizes)):
            w_hidden[c, layer - 1, : sizes[layer - 1], : sizes[layer]] = network.weights[layer]
        w_out[c, : sizes[-1]] = network.weights[-1]
        b_out[c] = network.biases[-1]
        for layer, names in enumerate(network.activations):
            b_hidden[c, layer, : sizes[layer]] = network.biases[layer]
            gates[c, layer, : sizes[layer]] = 1
            mixture[c, layer, : sizes[layer]] = np.eye(A)[
                [ACTIVATION_NAMES.index(name) for name in names]
            ]
    to_tensor = lambda array: torch.from_numpy(array.astype(np.float32))  # noqa: E731
    return SoftNetwork(
        w_in=to_tensor(w_in),
        w_hidden=to_tensor(w_hidden),
        w_out=to_tensor(w_out),
        b_hidden=to_tensor(b_hidden),
        b_out=to_tensor(b_out),
        depths=depths,
        mixture=to_tensor(mixture),
        gates=to_tensor(gates),
    )
