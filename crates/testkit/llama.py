"""Serves a tiny model of random weights with llama.cpp's own server and prints its address.

Started by src/llama.rs. Needs xllamacpp, gguf and numpy. It ends with its input.
"""

import os
import sys
import tempfile

import numpy
import xllamacpp
from gguf import GGUFWriter, TokenType

EMBEDDING, FEED_FORWARD, HEADS, LAYERS, CONTEXT = 64, 128, 4, 2, 2048

TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}"
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}"
    "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}\n{% endfor %}assistant: "
)


def write_model(path):
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_block_count(LAYERS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(EMBEDDING // HEADS)
    size = add_tokens(writer)
    add_weights(writer, size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokens(writer):
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["\u2581" + letter for letter in letters] + letters
    tokens = [b"<unk>", b"<s>", b"</s>"]
    tokens += [f"<0x{byte:02X}>".encode() for byte in range(256)]
    tokens += [word.encode() for word in words]
    kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
    kinds += [TokenType.BYTE] * 256 + [TokenType.NORMAL] * len(words)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 3 + [-100.0] * 256 + [-1.0] * len(words))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)
    writer.add_vocab_size(len(tokens))
    return len(tokens)


def add_weights(writer, size):
    random = numpy.random.default_rng(1)

    def add(name, *shape):
        weights = random.standard_normal(shape) * 0.1 if len(shape) > 1 else numpy.ones(shape)
        writer.add_tensor(name, weights.astype(numpy.float32))

    add("token_embd.weight", size, EMBEDDING)
    add("output_norm.weight", EMBEDDING)
    add("output.weight", size, EMBEDDING)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"{block}{name}.weight", EMBEDDING, EMBEDDING)
        add(f"{block}ffn_gate.weight", FEED_FORWARD, EMBEDDING)
        add(f"{block}ffn_up.weight", FEED_FORWARD, EMBEDDING)
        add(f"{block}ffn_down.weight", EMBEDDING, FEED_FORWARD)
        add(f"{block}attn_norm.weight", EMBEDDING)
        add(f"{block}ffn_norm.weight", EMBEDDING)


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tiny.gguf")
        write_model(path)
        params = xllamacpp.CommonParams()
        params.model.path = path
        params.n_ctx = CONTEXT
        params.n_parallel = 1
        params.port = 0
        params.cpuparams.n_threads = 1
        params.warmup = False
        params.use_jinja = True
        server = xllamacpp.Server(params)
        print(server.listening_address, flush=True)
        sys.stdin.read()


main()
