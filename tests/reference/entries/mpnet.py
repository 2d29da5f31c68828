"""MPNet, small and wide; lengths on both sides of the last bucket's border, 128."""

from tests.reference.entries import Entry

ENTRY = Entry(
    {
        "vocab_size": 211,
        "hidden_size": 44,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 53,
        "max_position_embeddings": 217,
    }
)
