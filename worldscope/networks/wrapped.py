"""Any `nn.Module` behind our interface, without being changed.

The output of every submodule is a hook point: `layers.0.conv.hook_out`, and `hook_out` of the
module itself. Where an output holds several tensors, each has its place: `encoder.hook_out.0` in a
tuple or a list, `encoder.hook_out.last_hidden_state` in a mapping or a dataclass. A submodule that
is called again in the same pass has further points, `shared.hook_out@1` for its second call. Of an
`nn.LSTM`, `nn.GRU` or `nn.RNN` at `lstm`, every state and gate is one too: `lstm.0.hook_c`.
"""

from typing import Any

from torch import nn

from worldscope.networks.hooked import HookedNetwork
from worldscope.networks.module_inputs import as_tensor
from worldscope.networks.recurrent_module import RecurrentModule
from worldscope.networks.refusals import saying_what_is_refused
from worldscope.networks.torch_recurrent import is_recurrent
from worldscope.networks.wrapped_network import Keywords, WrappedNetwork


def wrap(
    module: nn.Module,
    example: Any = None,
    *,
    timed: bool = True,
    pads: bool = False,
    keywords: Keywords | None = None,
) -> HookedNetwork:
    """Any module behind the interface of a network; the module stays as it is.

    It is read as in evaluation (no dropout, stored statistics) and without gradients. An `nn.LSTM`,
    `nn.GRU` or `nn.RNN` becomes a `RecurrentModule`, which reads (batch, time, d_in), with a hook
    at every state and gate. A tagger of sequences, and a classifier of images:

        net = ws.wrap(tagger, torch.zeros(1, 7, 3))
        net = ws.wrap(classifier, torch.zeros(1, 3, 32, 32), timed=False)

    An encoder with an attention mask, whose inputs of a batch differ in length:

        mask = lambda x, n: {"attention_mask": np.arange(x.shape[1]) < n[:, None]}
        net = ws.wrap(bert, torch.zeros(1, 3, dtype=torch.long), pads=True, keywords=mask)

    The digest is of what the module computes: of its weights and buffers, of what else it holds
    under names without an underscore, of the methods of classes that are not torch's (as this
    version of Python compiles them), of `timed` and `keywords` and, by their names, of the hooks
    of torch that the module has itself. A buffer that it registers in its first pass stays and
    counts; an example has it there from the start. One thread at a time may use the network, and
    the module.

    Args:
        module: What to wrap; it is called with a batch (batch, …) and what `keywords` gives.
        example: A batch that the module can read, if only of one input: it is run once, so that
            every hook, its axes and its width are known at once. Without it they are known after
            the first pass. Inputs are floats, or whole numbers, as it is; without it, as each is.
        timed: True for sequences (time, …): a hook is recorded step by step, so that axis 1 of
            what it gives must be the time of the input, which is checked at a second length.
            False for anything else, such as images, or to record one pooled vector of each
            sequence: (batch, d) is then one position, (batch, position, d) has them on axis 1, and
            (batch, channel, height, width) one for each place.
        pads: Whether sequences of different lengths may share a batch, filled up with zeros at the
            end. True only if the filling changes nothing: in a causal module, or with a mask from
            `keywords`. It is checked on the first such batch. False reads each length apart.
        keywords: Further arguments of the module, from the padded batch and the steps of each
            input (1 with timed=False): masks, types of symbols, or a fixed setting.

    Raises:
        ValueError: If what is given is no module, the module refuses the example, or a setting
            does not fit.
    """
    _check_module(module)
    if pads and not timed:
        raise ValueError("pads=True fills up sequences; leave it out with timed=False")
    if is_recurrent(module):
        if not timed or keywords is not None:
            raise ValueError(
                f"an nn.{type(module).__name__} reads sequences and their lengths by itself; leave "
                "out timed and keywords"
            )
        network = RecurrentModule(module)
        if example is not None:
            batch = as_tensor(example).to(next(module.parameters()))
            with saying_what_is_refused("an example", batch):
                network(batch)
        return network
    network = WrappedNetwork(module, timed=timed, pads=pads, keywords=keywords)
    if example is not None:
        network.show(example)
    return network


def _check_module(module: object) -> None:
    if isinstance(module, type) and issubclass(module, nn.Module):
        raise ValueError(f"{module.__name__} is a class; give a module, such as an instance of it")
    if not isinstance(module, nn.Module):
        raise ValueError(f"{module!r:.60} is no torch module; give an nn.Module")
    if isinstance(module, HookedNetwork):
        raise ValueError(f"{module!r:.80} is a network already; use it as it is")
