"""The official Python client of OpenAI against Callboard; see scenarios.py."""

import json
import struct

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel
from scenarios import KEY, QUESTION, TIMEOUT, URL, raised, run, same

# The client's own retries would hide what the server says.
SETTINGS = {"base_url": f"{URL}/v1", "timeout": TIMEOUT, "max_retries": 0}
client = OpenAI(api_key=KEY, **SETTINGS)

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look_up",
            "description": "Looks a host up.",
            "parameters": {
                "type": "object",
                "properties": {"host": {"type": "string"}},
                "required": ["host"],
            },
        },
    }
]


def create(model, **more):
    return client.chat.completions.create(model=model, messages=QUESTION, **more)


def text_of(stream):
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def refusals(kind, model, **more):
    """How a call fails, whole and as a stream."""
    whole = raised(kind, lambda: create(model, **more))
    streamed = raised(kind, lambda: create(model, stream=True, **more))
    same((streamed.status_code, streamed.code), (whole.status_code, whole.code))
    assert whole.request_id, "no x-request-id"
    return whole


def told(error):
    kind, code, param = error.type, error.code, error.param
    return {"status": error.status_code, "type": kind, "code": code, "param": param}


def chat():
    answer = create("plain", temperature=0.5, max_completion_tokens=99, user="u")
    same(answer.object, "chat.completion")
    assert answer.id and answer.created and answer.model and answer._request_id
    (choice,) = answer.choices
    same((choice.index, choice.finish_reason), (0, "stop"))
    same((choice.message.role, choice.message.content), ("assistant", "All is well."))
    assert choice.message.tool_calls is None and choice.message.refusal is None
    usage = answer.usage
    same((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (10, 3, 13))
    return answer.model_extra["callboard"]


def stream():
    chunks = list(create("plain", stream=True, stream_options={"include_usage": True}))
    same(text_of(chunks), "All is well.")
    same(chunks[0].choices[0].delta.role, "assistant")
    same(len({chunk.id for chunk in chunks}), 1)
    same({chunk.object for chunk in chunks}, {"chat.completion.chunk"})
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    same(reasons, [None] * (len(reasons) - 1) + ["stop"])
    same(chunks[-1].choices, [])
    usage = chunks[-1].usage
    same((usage.prompt_tokens, usage.completion_tokens), (10, 3))
    assert all(chunk.usage is None for chunk in chunks[:-1])
    # The client's helper, which puts the answer together again.
    with client.chat.completions.stream(model="plain", messages=QUESTION) as events:
        same(events.get_final_completion().choices[0].message.content, "All is well.")


async def asynchronous():
    async with AsyncOpenAI(api_key=KEY, **SETTINGS) as client:
        chunks = await client.chat.completions.create(model="plain", messages=QUESTION, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in chunks]
        same("".join(pieces), "All is well.")


def thinking():
    """As DeepSeek and vLLM have it; the vendor itself shows no thoughts."""
    same(create("think").choices[0].message.model_extra["reasoning_content"], "Hm. So.")
    chunks = list(create("think", stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    thoughts = [(delta.model_extra or {}).get("reasoning_content", "") for delta in deltas]
    same(("".join(thoughts), text_of(chunks)), ("Hm. So.", "All is well."))


def tools():
    answer = create("tools", tools=TOOLS, tool_choice="auto")
    (choice,) = answer.choices
    same(choice.finish_reason, "tool_calls")
    (call,) = choice.message.tool_calls
    same((call.type, call.function.name), ("function", "look_up"))
    same(json.loads(call.function.arguments), {"host": "web-1"})
    # The message goes back as it came, as everybody's loop does it.
    result = {"role": "tool", "tool_call_id": call.id, "content": "up"}
    messages = [*QUESTION, choice.message, result]
    answer = client.chat.completions.create(model="tools", messages=messages, tools=TOOLS)
    same(answer.choices[0].message.content, "web-1 is up.")
    return call.id


def tools_streamed():
    asked = {"model": "tools", "messages": QUESTION, "tools": TOOLS}
    with client.chat.completions.stream(**asked) as events:
        choice = events.get_final_completion().choices[0]
    same((choice.finish_reason, choice.message.content), ("tool_calls", "Let me look."))
    (call,) = choice.message.tool_calls
    same((call.id != "", call.function.name), (True, "look_up"))
    same(json.loads(call.function.arguments), {"host": "web-1"})


class Health(BaseModel):
    healthy: bool


def json_object():
    answer = create("json", response_format={"type": "json_object"}, seed=7)
    same(json.loads(answer.choices[0].message.content), {"healthy": True})


def json_schema():
    parse = client.chat.completions.parse
    answer = parse(model="json", messages=QUESTION, response_format=Health)
    same(answer.choices[0].message.parsed, Health(healthy=True))


def wrong_key():
    stranger = OpenAI(api_key="nobody", **SETTINGS)
    call = lambda: stranger.chat.completions.create(model="plain", messages=QUESTION)
    error = raised(openai.AuthenticationError, call)
    raised(openai.AuthenticationError, lambda: list(stranger.models.list()))
    return told(error)


def unknown_model():
    return told(refusals(openai.NotFoundError, "nobody"))


def unknown_parameter():
    return told(refusals(openai.BadRequestError, "plain", extra_body={"frobnicate": 1}))


def too_long():
    return told(refusals(openai.BadRequestError, "long"))


def limited():
    error = refusals(openai.RateLimitError, "limited")
    return {**told(error), "retry_after": error.response.headers["retry-after"]}


def down():
    return told(refusals(openai.InternalServerError, "down"))


def locked():
    return told(refusals(openai.InternalServerError, "locked"))


def cut():
    said = []

    def read():
        for chunk in create("cut", stream=True):
            said.append(chunk.choices[0].delta.content or "")

    error = raised(openai.APIError, read)
    assert "broke off" in error.message, error.message
    # Whole, it fails before there is anything to read.
    raised(openai.InternalServerError, lambda: create("cut"))
    return "".join(said)


def cancel():
    """By hand, and by leaving the block."""
    stream = create("endless", stream=True)
    next(iter(stream))
    stream.close()
    with create("endless", stream=True) as stream:
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break


def embeddings():
    texts = ["one", "two words"]
    packed = client.embeddings.create(model="embed", input=texts)
    same([entry.index for entry in packed.data], [0, 1])
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 3, packed.usage
    numbers = client.embeddings.create(model="embed", input=texts, encoding_format="float")
    same(single(packed), single(numbers))
    (short,) = client.embeddings.create(model="embed", input="one", dimensions=2).data
    same(len(short.embedding), 2)
    return packed.data[0].embedding


def single(reply):
    """The vectors in single precision, which is what base64 carries."""
    vectors = [entry.embedding for entry in reply.data]
    return [struct.pack(f"{len(vector)}f", *vector) for vector in vectors]


def models():
    names = [model.id for model in client.models.list()]
    model = client.models.retrieve(names[0])
    same((model.id, model.object), (names[0], "model"))
    raised(openai.NotFoundError, lambda: client.models.retrieve("nobody"))
    return names


run(
    {
        "chat": chat,
        "stream": stream,
        "async": asynchronous,
        "thinking": thinking,
        "tools": tools,
        "tools_streamed": tools_streamed,
        "json_object": json_object,
        "json": json_schema,
        "wrong_key": wrong_key,
        "unknown_model": unknown_model,
        "unknown_parameter": unknown_parameter,
        "too_long": too_long,
        "limited": limited,
        "down": down,
        "locked": locked,
        "cut": cut,
        "cancel": cancel,
        "embeddings": embeddings,
        "models": models,
    }
)
