"""What a client does with the model it was sent: the plain version that reads like the paper, and the fast one that rounds call."""
import torch

from odl_kit.learners import cohort
from odl_kit.models import flat


def client_update(net, w, x, y, *, order, batch_size, lr, momentum=0.0, prox=0.0, plan=None):
    """ClientUpdate of McMahan et al. 2017, algorithm 1: one client's SGD from w (P,) on x (n, ...), y (n,) int64 -> its update (P,).

    order: (epochs, n) int64, the order of the examples in each epoch (cohort.batch_order draws it). batch_size: int, or None for the
    paper's B = infinity. The last batch may be short. The rest as for cohort.train_cohort, whose row for this client is the same to 1e-6.
    """
    start, direction = w, _direction(net, w, momentum, prox, plan)
    for epoch in order:                                             # for each local epoch i from 1 to E do
        for batch in epoch.split(batch_size or len(epoch)):         #     for batch b in B do
            grad = gradient(net, w, x[batch], y[batch])
            w = w - lr * direction(grad, w)                         #         w <- w - lr * grad l(w; b)
    return w - start


def gradient(net, w, x, y):
    """The gradient (P,) of the mean cross-entropy of `net` carrying the weights w (P,), on the batch x (b, ...), y (b,)."""
    w = w.detach().requires_grad_()
    return torch.autograd.grad(flat.flat_loss(net)(w, x, y), w)[0]


def _direction(net, start, momentum, prox, plan):
    """`direction(grad, w) -> (P,)`: the gradient itself, unless a plan, FedProx or momentum ask for more."""
    mask, velocity = None if plan is None else plan.mask(net), torch.zeros_like(start)

    def direction(grad, w):
        if prox:                                                    # FedProx: the gradient of prox / 2 * |w - start|^2
            grad = grad + prox * (w - start)
        if mask is not None:                                        # only what the plan names learns
            grad = grad * mask
        if momentum:                                                # v <- momentum * v + grad
            grad = velocity.mul_(momentum).add_(grad)
        return grad
    return direction


def train_cohort(net, clients, w, chosen, *, rng, **options):
    """The `chosen` clients ((m,) int64) train from w (P,), all at once -> cohort.Uplink.

    partial(train_cohort, net, clients, epochs=..., ...) is a `train` for rounds.run.
    clients: anything with x (C, N, ...), y (C, N) and num_examples (C,), such as data.partition.clients. rng: torch.Generator.
    options: those of learners.cohort.train_cohort (epochs, batch_size, lr, momentum, prox, plan, method, device).
    A row costs 4 bytes a weight in float32; with a plan only the weights that learn are sent.
    """
    method, note = options.get("method", "auto"), ""
    if method == "auto":
        device = options.get("device")
        options["method"], note = cohort.choose(net, w, clients.x, batch_size=options.get("batch_size"), device=device)
    updates = cohort.train_cohort(net, w, clients.x, clients.y, clients.num_examples, rows=chosen, rng=rng, **options)
    plan = options.get("plan")
    sent = updates.shape[1] if plan is None else int(plan.mask(net).sum())
    return cohort.Uplink(updates, clients.num_examples[chosen], chosen, len(chosen) * sent * updates.element_size(), note=note or method)
