"""deberta-v2, small and wide, as v3 is; and variants as v2 was."""

from tests.reference.entries import Entry

ENTRY = Entry(
    {
        "vocab_size": 211,
        "hidden_size": 44,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 53,
        "max_position_embeddings": 211,
        "type_vocab_size": 0,
        "relative_attention": True,
        "pos_att_type": "p2c|c2p",
        "share_att_key": True,
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
    },
    variants={
        "unshared": {
            "share_att_key": False,
            "pos_att_type": ["c2p", "p2c"],
            "position_buckets": -1,
            "max_relative_positions": 61,  # some distances are farther
            "norm_rel_ebd": "none",
            "position_biased_input": True,
            "type_vocab_size": 2,
            "pooler_hidden_act": "tanh",
        },
        "convolved": {
            "share_att_key": False,
            "max_relative_positions": 90,
            "embedding_size": 29,
            "conv_kernel_size": 3,
            "conv_act": "gelu",
            "type_vocab_size": 2,
        },
        "one layer": {"num_hidden_layers": 1, "conv_kernel_size": 5, "conv_groups": 2},
    },
)
