"""GPT-2 for training the bundled model: the same function as transformers' class, with heads that can be dropped."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)
from transformers import GPT2Config, GPT2LMHeadModel


class Block(nn.Module):
    """One layer: attention and MLP on the normalised residual stream."""

    def __init__(self, width: int, n_heads: int, inner: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the residual stream after this layer, and its heads' output norms. `keep` [example, head] scales.

        Output norm [example, position]: norms of what the heads write, summed, over the norm of the stream.
        """
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, self.n_heads, -1).transpose(1, 2) for part in self.qkv(self.ln_1(x)).chunk(3, -1)
        )
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        if keep is not None:
            z = z * keep[:, :, None, None]
        per_head = self.out.weight.view(width, self.n_heads, -1).permute(1, 2, 0)
        squares = ((z @ (per_head @ per_head.transpose(1, 2))) * z).sum(-1)
        output_norm = (squares.clamp(min=0) + 1e-8).sqrt().sum(1) / x.detach().norm(dim=-1)
        x = x + self.out(z.transpose(1, 2).reshape(batch, length, width))
        hidden: Tensor = self.down(F.gelu(self.up(self.ln_2(x)), approximate="tanh"))
        return x + hidden, output_norm


class ToyModel(nn.Module):
    """A decoder with learnt positions and tied embeddings."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.config = config
        inner = config.n_inner or 4 * config.n_embd
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.blocks = nn.ModuleList(Block(config.n_embd, config.n_head, inner) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd)

    def initialise(self, generator: torch.Generator) -> None:
        """Set all weights as GPT-2 does: normal, .02, smaller where a layer writes to the stream."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif "ln_" in name:
                nn.init.ones_(parameter)
            else:
                writes = name.endswith(("out.weight", "down.weight"))
                std = 0.02 / (2 * self.config.n_layer) ** 0.5 if writes else 0.02
                nn.init.normal_(parameter, std=std, generator=generator)
        # Positions start as waves: the previous token is then one rotation away everywhere, and heads that look back by
        # one form in hundreds of steps instead of never.
        with torch.no_grad():
            places = torch.arange(self.config.n_positions)[:, None]
            frequencies = (
                2 * math.pi * torch.logspace(math.log10(0.25), math.log10(1 / 256), self.config.n_embd // 2, base=10)
            )
            waves = torch.cat([(places * frequencies).sin(), (places * frequencies).cos()], dim=1)
            self.wpe.weight.copy_(0.02 * 2**0.5 * waves)

    def forward(self, tokens: Tensor, positions: Tensor, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits [example, position, token] and output norm [example, position]; `keep` by layer and head."""
        x = self.wte(tokens) + self.wpe(positions)
        total = torch.zeros(())
        for layer, block in enumerate(self.blocks):
            x, output_norm = block(x, None if keep is None else keep[:, layer])
            total = total + output_norm
        return F.linear(self.ln_f(x), self.wte.weight), total

    def export(self) -> GPT2LMHeadModel:
        """Return the same model as transformers' GPT2LMHeadModel, whose linear layers are stored transposed."""
        state = {
            "transformer.wte.weight": self.wte.weight,
            "transformer.wpe.weight": self.wpe.weight,
            "transformer.ln_f.weight": self.ln_f.weight,
            "transformer.ln_f.bias": self.ln_f.bias,
            "lm_head.weight": self.wte.weight,
        }
        names = {"qkv": "attn.c_attn", "out": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"}
        for layer, block in enumerate(self.blocks):
            for name, parameter in block.named_parameters():
                module, kind = name.split(".")
                weight = parameter.T.contiguous() if module in names and kind == "weight" else parameter
                state[f"transformer.h.{layer}.{names.get(module, module)}.{kind}"] = weight
        model = GPT2LMHeadModel(self.config)
        model.load_state_dict({name: value.detach().clone() for name, value in state.items()})
        model.eval()
        return model
