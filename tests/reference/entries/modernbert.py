"""ModernBERT, small and wide; most texts are far longer than the window of 14 tokens."""

from tests.reference.entries import Entry

ENTRY = Entry(
    {
        "vocab_size": 211,
        "hidden_size": 66,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
        "intermediate_size": 53,
        "max_position_embeddings": 211,
        "local_attention": 14,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "cls_token_id": 1,
        "eos_token_id": 2,
        "sep_token_id": 2,
    },
    variants={
        "other": {
            "local_attention": 15,
            "norm_bias": True,
            "attention_bias": True,
            "mlp_bias": True,
            "classifier_bias": True,
            "classifier_pooling": "mean",
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "sliding_attention"],
        },
    },
    # ModernBERT's own rounds queries and keys to float32 first, which float64 cannot be held to at 1e-10.
    stand_ins={
        "transformers.models.modernbert.modeling_modernbert.apply_rotary_pos_emb": (
            "transformers.models.llama.modeling_llama.apply_rotary_pos_emb"
        )
    },
)
