"""ELECTRA, small and wide; its base and large sizes have embeddings as wide as the encoder."""

from tests.reference.entries import Entry

ENTRY = Entry(
    {
        "vocab_size": 211,
        "embedding_size": 23,
        "hidden_size": 44,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 53,
        "max_position_embeddings": 211,
        "type_vocab_size": 2,
    },
    variants={"unprojected": {"embedding_size": 44}},
)
