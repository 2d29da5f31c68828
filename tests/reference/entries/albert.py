"""ALBERT, small and wide, in groups of two layers; in the published ones one layer is run many times."""

from tests.reference.entries import Entry

ENTRY = Entry(
    {
        "vocab_size": 211,
        "embedding_size": 23,
        "hidden_size": 44,
        "num_hidden_layers": 3,
        "num_hidden_groups": 2,
        "inner_group_num": 2,
        "num_attention_heads": 4,
        "intermediate_size": 53,
        "max_position_embeddings": 211,
        "type_vocab_size": 2,
    },
    variants={"one layer": {"num_hidden_layers": 5, "num_hidden_groups": 1, "inner_group_num": 1}},
)
