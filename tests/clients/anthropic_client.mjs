// The official JavaScript client of Anthropic against Callboard; see scenarios.mjs.

import assert from "node:assert/strict";
import { gather, key, load, question, raised, run, timeout, url } from "./scenarios.mjs";

const { default: Anthropic } = load("@anthropic-ai/sdk");
const { OverloadedError } = load("@anthropic-ai/sdk/error");

// The client's own retries would hide what the server says.
const settings = { baseURL: url, timeout, maxRetries: 0 };
const client = new Anthropic({ authToken: key, ...settings });

const input_schema = {
    type: "object",
    properties: { host: { type: "string" } },
    required: ["host"],
};
const tools = [{ name: "look_up", description: "Looks a host up.", input_schema }];

const asked = (model, more) => ({ model, max_tokens: 99, messages: question, ...more });

const create = (model, more) => client.messages.create(asked(model, more));

// How a call fails, whole and as a stream.
async function refusals(kind, model, more) {
    const whole = await raised(kind, () => create(model, more));
    const streamed = await raised(kind, () => create(model, { stream: true, ...more }));
    assert.deepEqual([streamed.status, streamed.type], [whole.status, whole.type]);
    assert.equal(whole.requestID, whole.error.request_id);
    return whole;
}

const told = ({ status, type, error }) => ({ status, type, message: error.error.message });

function checkCall(message) {
    assert.equal(message.stop_reason, "tool_use");
    const [text, call, ...more] = message.content;
    assert.deepEqual(more, []);
    assert.deepEqual([text.text, call.type, call.name], ["Let me look.", "tool_use", "look_up"]);
    assert.deepEqual(call.input, { host: "web-1" });
    return call;
}

await run({
    async chat() {
        const more = { system: "Be short.", temperature: 0.5, stop_sequences: ["END"] };
        const message = await create("plain", more);
        assert.deepEqual([message.type, message.role], ["message", "assistant"]);
        assert.ok(message.id.startsWith("msg_") && message.model);
        const [block, ...others] = message.content;
        assert.deepEqual([block.type, block.text, others], ["text", "All is well.", []]);
        assert.deepEqual([message.stop_reason, message.stop_sequence], ["end_turn", null]);
        const { input_tokens, output_tokens } = message.usage;
        assert.deepEqual([input_tokens, output_tokens], [10, 3]);
        assert.ok(message._request_id, "no request-id");
        return message.callboard;
    },

    async stream() {
        const events = await gather(await create("plain", { stream: true }));
        const kinds = events.map((event) => event.type);
        assert.deepEqual(kinds.slice(0, 2), ["message_start", "content_block_start"]);
        const end = ["content_block_stop", "message_delta", "message_stop"];
        assert.deepEqual(kinds.slice(-3), end);
        // The client's helper, which puts the message together again.
        const stream = client.messages.stream(asked("plain"));
        const message = await stream.finalMessage();
        assert.equal(message.content[0].text, "All is well.");
        assert.equal(message.stop_reason, "end_turn");
        const { input_tokens, output_tokens } = message.usage;
        assert.deepEqual([input_tokens, output_tokens], [10, 3]);
    },

    // As `ANTHROPIC_API_KEY` gives it; this client shows it as it shows a token.
    async api_key() {
        const keyed = new Anthropic({ apiKey: key, ...settings });
        assert.equal((await keyed.messages.create(asked("plain"))).stop_reason, "end_turn");
    },

    async thinking() {
        const more = { thinking: { type: "adaptive" } };
        const message = await client.messages.stream(asked("think", more)).finalMessage();
        const [thought, text, ...others] = message.content;
        assert.deepEqual([thought.type, thought.thinking], ["thinking", "Hm. So."]);
        assert.deepEqual([text.type, text.text, others], ["text", "All is well.", []]);
        // The thoughts go back with the answer, as everybody's loop does it.
        const content = message.content;
        const messages = [...question, { role: "assistant", content }, ...question];
        assert.equal((await create("plain", { messages })).stop_reason, "end_turn");
    },

    async tools() {
        const message = await create("tools", { tools, tool_choice: { type: "auto" } });
        const call = checkCall(message);
        // The content goes back as it came, as everybody's loop does it.
        const result = { type: "tool_result", tool_use_id: call.id, content: "up" };
        const messages = [
            ...question,
            { role: "assistant", content: message.content },
            { role: "user", content: [result] },
        ];
        const answer = await create("tools", { messages, tools });
        assert.equal(answer.content[0].text, "web-1 is up.");
        return call.id;
    },

    async tools_streamed() {
        checkCall(await client.messages.stream(asked("tools", { tools })).finalMessage());
    },

    async json() {
        const schema = {
            type: "object",
            properties: { healthy: { type: "boolean" } },
            required: ["healthy"],
            additionalProperties: false,
        };
        const output_config = { format: { type: "json_schema", schema } };
        const answer = await create("json", { output_config });
        assert.deepEqual(JSON.parse(answer.content[0].text), { healthy: true });
    },

    async wrong_key() {
        const stranger = new Anthropic({ authToken: "nobody", ...settings });
        const call = () => stranger.messages.create(asked("plain"));
        return told(await raised(Anthropic.AuthenticationError, call));
    },

    unknown_model: async () => told(await refusals(Anthropic.NotFoundError, "nobody")),

    unknown_parameter: async () =>
        told(await refusals(Anthropic.BadRequestError, "plain", { frobnicate: 1 })),

    too_long: async () => told(await refusals(Anthropic.BadRequestError, "long")),

    async limited() {
        const error = await refusals(Anthropic.RateLimitError, "limited");
        return { ...told(error), retry_after: error.headers.get("retry-after") };
    },

    // 529, as the vendor itself says it; a subclass of InternalServerError.
    async down() {
        const error = await refusals(OverloadedError, "down");
        assert.ok(error instanceof Anthropic.InternalServerError);
        return told(error);
    },

    locked: async () => told(await refusals(OverloadedError, "locked")),

    async cut() {
        let said = "";
        const error = await raised(Anthropic.APIError, async () => {
            for await (const event of await create("cut", { stream: true })) {
                if (event.type === "content_block_delta") said += event.delta.text;
            }
        });
        assert.match(error.message, /broke off/);
        const helper = client.messages.stream(asked("cut"));
        await raised(Anthropic.APIError, () => helper.finalMessage());
        return { said, type: error.type };
    },

    // By the controller, and by leaving the loop.
    async cancel() {
        const stream = await create("endless", { stream: true });
        for await (const _ of stream) stream.controller.abort();
        for await (const _ of await create("endless", { stream: true })) break;
    },
});
