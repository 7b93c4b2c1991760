"""The official Python client of Anthropic against Callboard; see scenarios.py."""

import json

import anthropic
from anthropic import Anthropic, AsyncAnthropic
from pydantic import BaseModel
from scenarios import KEY, QUESTION, TIMEOUT, URL, raised, run, same

# The client's own retries would hide what the server says.
SETTINGS = {"base_url": URL, "timeout": TIMEOUT, "max_retries": 0}
client = Anthropic(auth_token=KEY, **SETTINGS)

TOOLS = [
    {
        "name": "look_up",
        "description": "Looks a host up.",
        "input_schema": {
            "type": "object",
            "properties": {"host": {"type": "string"}},
            "required": ["host"],
        },
    }
]


def asked(model, **more):
    return {"model": model, "max_tokens": 99, "messages": QUESTION, **more}


def create(model, **more):
    return client.messages.create(**asked(model, **more))


def refusals(kind, model, **more):
    """How a call fails, whole and as a stream."""
    whole = raised(kind, lambda: create(model, **more))
    streamed = raised(kind, lambda: create(model, stream=True, **more))
    same((streamed.status_code, streamed.type), (whole.status_code, whole.type))
    same(whole.request_id, whole.body["request_id"])
    return whole


def told(error):
    message = error.body["error"]["message"]
    return {"status": error.status_code, "type": error.type, "message": message}


def chat():
    # The client itself has no temperature any more; its users still do.
    more = {"extra_body": {"temperature": 0.5}}
    message = create("plain", system="Be short.", stop_sequences=["END"], **more)
    same((message.type, message.role), ("message", "assistant"))
    assert message.id.startswith("msg_") and message.model, message
    (block,) = message.content
    same((block.type, block.text), ("text", "All is well."))
    same((message.stop_reason, message.stop_sequence), ("end_turn", None))
    same((message.usage.input_tokens, message.usage.output_tokens), (10, 3))
    assert message._request_id, "no request-id"
    return message.model_extra["callboard"]


def stream():
    kinds = [event.type for event in create("plain", stream=True)]
    same(kinds[:2], ["message_start", "content_block_start"])
    same(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"])
    same(set(kinds[2:-3]), {"content_block_delta"})
    # The client's helper, which puts the message together again.
    with client.messages.stream(**asked("plain")) as events:
        same("".join(events.text_stream), "All is well.")
        message = events.get_final_message()
    same((message.stop_reason, message.content[0].text), ("end_turn", "All is well."))
    same((message.usage.input_tokens, message.usage.output_tokens), (10, 3))


async def asynchronous():
    async with AsyncAnthropic(auth_token=KEY, **SETTINGS) as client:
        async with client.messages.stream(**asked("plain")) as events:
            pieces = [text async for text in events.text_stream]
        same("".join(pieces), "All is well.")


def thinking():
    with client.messages.stream(**asked("think", thinking={"type": "adaptive"})) as events:
        message = events.get_final_message()
    thought, text = message.content
    same((thought.type, thought.thinking), ("thinking", "Hm. So."))
    same((text.type, text.text), ("text", "All is well."))
    same(create("think").content[0].thinking, "Hm. So.")
    # The thoughts go back with the answer, as everybody's loop does it.
    again = [*QUESTION, {"role": "assistant", "content": message.content}, *QUESTION]
    same(client.messages.create(**{**asked("plain"), "messages": again}).stop_reason, "end_turn")


def api_key():
    """As `ANTHROPIC_API_KEY` gives it; this client shows it as it shows a token."""
    with Anthropic(api_key=KEY, **SETTINGS) as client:
        same(client.messages.create(**asked("plain")).stop_reason, "end_turn")


def check_call(message):
    same(message.stop_reason, "tool_use")
    text, call = message.content
    same((text.text, call.type, call.name), ("Let me look.", "tool_use", "look_up"))
    same(call.input, {"host": "web-1"})
    return call


def tools():
    message = create("tools", tools=TOOLS, tool_choice={"type": "auto"})
    call = check_call(message)
    # The content goes back as it came, as everybody's loop does it.
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "up"}
    messages = [
        *QUESTION,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    answer = client.messages.create(model="tools", max_tokens=99, messages=messages, tools=TOOLS)
    same(answer.content[0].text, "web-1 is up.")
    return call.id


def tools_streamed():
    with client.messages.stream(**asked("tools", tools=TOOLS)) as events:
        check_call(events.get_final_message())


class Health(BaseModel):
    healthy: bool


def json_mode():
    answer = client.messages.parse(**asked("json", output_format=Health))
    same(answer.parsed_output, Health(healthy=True))
    same(json.loads(answer.content[0].text), {"healthy": True})


def wrong_key():
    stranger = Anthropic(auth_token="nobody", **SETTINGS)
    call = lambda: stranger.messages.create(**asked("plain"))
    return told(raised(anthropic.AuthenticationError, call))


def unknown_model():
    return told(refusals(anthropic.NotFoundError, "nobody"))


def unknown_parameter():
    return told(refusals(anthropic.BadRequestError, "plain", extra_body={"frobnicate": 1}))


def too_long():
    return told(refusals(anthropic.BadRequestError, "long"))


def limited():
    error = refusals(anthropic.RateLimitError, "limited")
    return {**told(error), "retry_after": error.response.headers["retry-after"]}


def down():
    # 529, as the vendor itself says it; a subclass of InternalServerError.
    error = refusals(anthropic.OverloadedError, "down")
    assert isinstance(error, anthropic.InternalServerError)
    return told(error)


def locked():
    return told(refusals(anthropic.OverloadedError, "locked"))


def cut():
    said = []

    def read():
        with client.messages.stream(**asked("cut")) as events:
            for text in events.text_stream:
                said.append(text)

    try:
        read()
    except anthropic.APIStatusError as error:
        assert "broke off" in error.message, error.message
        same(error.body["type"], "error")
        return {"said": "".join(said), "type": error.body["error"]["type"]}
    raise AssertionError(f"a cut stream ended as if it were whole: {said}")


def cancel():
    """By hand, and by leaving the block."""
    events = create("endless", stream=True)
    next(iter(events))
    events.close()
    with client.messages.stream(**asked("endless")) as events:
        for _ in events.text_stream:
            break


run(
    {
        "chat": chat,
        "stream": stream,
        "async": asynchronous,
        "api_key": api_key,
        "thinking": thinking,
        "tools": tools,
        "tools_streamed": tools_streamed,
        "json": json_mode,
        "wrong_key": wrong_key,
        "unknown_model": unknown_model,
        "unknown_parameter": unknown_parameter,
        "too_long": too_long,
        "limited": limited,
        "down": down,
        "locked": locked,
        "cut": cut,
        "cancel": cancel,
    }
)
