"""Muon for matrices, Adam for the embedding and the norms.

Muon: K. Jordan and others, "Muon: an optimizer for hidden layers in neural networks", 2024. The momentum of a matrix
is replaced by the nearest matrix whose singular values are all about 1 (five Newton-Schulz steps), so that rare
directions move as far as common ones. Adam: Kingma and Ba, 2015, with decoupled weight decay (Loshchilov and Hutter).
"""

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalize(m):
    """f32[n, r, c] -> bf16, each matrix's singular values moved to about 1 (0.7 to 1.2)."""
    a, b, c = NEWTON_SCHULZ
    tall = m.shape[1] > m.shape[2]
    x = m.transpose(1, 2) if tall else m
    x = (x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)).to(torch.bfloat16)
    for _ in range(5):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = a * x + torch.bmm(b * gram + c * torch.bmm(gram, gram), x)
    return x.transpose(1, 2) if tall else x


class Optimizer:
    """Updates `weights` (a dict of f32 tensors) in place from `grads` (the same names)."""

    def __init__(self, weights, lr_matrix, lr_other, weight_decay, momentum=0.95, betas=(0.9, 0.98)):
        self.weights = weights
        self.lr_matrix, self.lr_other, self.weight_decay = lr_matrix, lr_other, weight_decay
        self.momentum, self.betas = momentum, betas
        self.groups = {}  # shape -> names of the matrices of that shape, updated together
        self.others = []
        for name, w in weights.items():
            if w.dim() == 2 and name != "token_embd.weight":
                self.groups.setdefault(tuple(w.shape), []).append(name)
            else:
                self.others.append(name)
        self.state = {
            "step": 0,
            "muon": {s: torch.zeros(len(names), *s) for s, names in self.groups.items()},
            "adam": {n: [torch.zeros_like(weights[n]), torch.zeros_like(weights[n])] for n in self.others},
        }

    def step(self, grads, share):
        """One update at `share` of the full learning rates."""
        self.state["step"] += 1
        for shape, names in self.groups.items():
            mean = self.state["muon"][shape]
            grad = torch.stack([grads[n] for n in names])
            mean.lerp_(grad, 1 - self.momentum)
            update = orthogonalize(grad.lerp_(mean, self.momentum)).float()
            lr = self.lr_matrix * share
            for name, u in zip(names, update):
                w = self.weights[name]
                w.mul_(1 - lr * self.weight_decay)
                w.add_(u, alpha=-lr * max(1, shape[0] / shape[1]) ** 0.5)
        b1, b2 = self.betas
        lr = self.lr_other * share
        for name in self.others:
            mean, square = self.state["adam"][name]
            grad = grads[name]
            mean.lerp_(grad, 1 - b1)
            square.lerp_(grad * grad, 1 - b2)
            root = (square / (1 - b2 ** self.state["step"])).sqrt_().add_(1e-8)
            w = self.weights[name]
            if w.dim() == 2:
                w.mul_(1 - lr * self.weight_decay)
            w.addcdiv_(mean, root, value=-lr / (1 - b1 ** self.state["step"]))
