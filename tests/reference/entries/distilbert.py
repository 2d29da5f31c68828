"""DistilBERT, small and wide."""

from tests.reference.entries import Entry

ENTRY = Entry(
    {
        "vocab_size": 211,
        "dim": 44,
        "n_layers": 3,
        "n_heads": 4,
        "hidden_dim": 53,
        "max_position_embeddings": 211,
    }
)
