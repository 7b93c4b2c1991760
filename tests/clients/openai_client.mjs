// The official JavaScript client of OpenAI against Callboard; see scenarios.mjs.

import assert from "node:assert/strict";
import { gather, key, load, question, raised, run, timeout, url } from "./scenarios.mjs";

const { default: OpenAI } = load("openai");

// The client's own retries would hide what the server says.
const settings = { baseURL: `${url}/v1`, timeout, maxRetries: 0 };
const client = new OpenAI({ apiKey: key, ...settings });

const parameters = {
    type: "object",
    properties: { host: { type: "string" } },
    required: ["host"],
};
const tools = [{
    type: "function",
    function: { name: "look_up", description: "Looks a host up.", parameters },
}];

const create = (model, more) =>
    client.chat.completions.create({ model, messages: question, ...more });

// How a call fails, whole and as a stream.
async function refusals(kind, model, more) {
    const whole = await raised(kind, () => create(model, more));
    const streamed = await raised(kind, () => create(model, { stream: true, ...more }));
    assert.deepEqual([streamed.status, streamed.code], [whole.status, whole.code]);
    assert.ok(whole.requestID, "no x-request-id");
    return whole;
}

const told = ({ status, type, code, param }) => ({ status, type, code, param });

function checkCall({ finish_reason, message }) {
    assert.equal(finish_reason, "tool_calls");
    const [call, ...more] = message.tool_calls;
    assert.deepEqual(more, []);
    assert.ok(call.id);
    assert.deepEqual([call.type, call.function.name], ["function", "look_up"]);
    assert.deepEqual(JSON.parse(call.function.arguments), { host: "web-1" });
    return call;
}

await run({
    async chat() {
        const asked = { temperature: 0.5, max_completion_tokens: 99, user: "u" };
        const answer = await create("plain", asked);
        assert.equal(answer.object, "chat.completion");
        assert.ok(answer.id && answer.created && answer.model && answer._request_id);
        const [{ index, finish_reason, message }] = answer.choices;
        assert.deepEqual([index, finish_reason], [0, "stop"]);
        assert.deepEqual([message.role, message.content], ["assistant", "All is well."]);
        const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
        assert.deepEqual([prompt_tokens, completion_tokens, total_tokens], [10, 3, 13]);
        return answer.callboard;
    },

    async stream() {
        const asked = { stream: true, stream_options: { include_usage: true } };
        const chunks = await gather(await create("plain", asked));
        const last = chunks.pop();
        assert.deepEqual(last.choices, []);
        assert.deepEqual([last.usage.prompt_tokens, last.usage.completion_tokens], [10, 3]);
        const texts = chunks.map((chunk) => chunk.choices[0].delta.content ?? "");
        assert.equal(texts.join(""), "All is well.");
        assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
        // The client's helper, which puts the answer together again.
        const events = client.chat.completions.stream({ model: "plain", messages: question });
        assert.equal(await events.finalContent(), "All is well.");
    },

    // As DeepSeek and vLLM have it; the vendor itself shows no thoughts.
    async thinking() {
        const whole = await create("think");
        assert.equal(whole.choices[0].message.reasoning_content, "Hm. So.");
        const chunks = await gather(await create("think", { stream: true }));
        const deltas = chunks.map((chunk) => chunk.choices[0].delta);
        const said = (name) => deltas.map((delta) => delta[name] ?? "").join("");
        const both = [said("reasoning_content"), said("content")];
        assert.deepEqual(both, ["Hm. So.", "All is well."]);
    },

    async tools() {
        const answer = await create("tools", { tools, tool_choice: "auto" });
        const call = checkCall(answer.choices[0]);
        // The message goes back as it came, as everybody's loop does it.
        const result = { role: "tool", tool_call_id: call.id, content: "up" };
        const messages = [...question, answer.choices[0].message, result];
        const told = await create("tools", { messages, tools });
        assert.equal(told.choices[0].message.content, "web-1 is up.");
        return call.id;
    },

    async tools_streamed() {
        const asked = { model: "tools", messages: question, tools };
        const answer = await client.chat.completions.stream(asked).finalChatCompletion();
        checkCall(answer.choices[0]);
        assert.equal(answer.choices[0].message.content, "Let me look.");
    },

    // What the wire behind has no words for is refused, and not dropped in silence.
    async inexpressible() {
        const response_format = { type: "json_object" };
        await refusals(OpenAI.BadRequestError, "json", { response_format });
        await refusals(OpenAI.BadRequestError, "plain", { seed: 7 });
    },

    async json() {
        const schema = {
            type: "object",
            properties: { healthy: { type: "boolean" } },
            required: ["healthy"],
            additionalProperties: false,
        };
        const parsed = await client.chat.completions.parse({
            model: "json",
            messages: question,
            response_format: {
                type: "json_schema",
                json_schema: { name: "Health", schema, strict: true },
            },
        });
        assert.deepEqual(JSON.parse(parsed.choices[0].message.content), { healthy: true });
    },

    async wrong_key() {
        const stranger = new OpenAI({ apiKey: "nobody", ...settings });
        const asked = { model: "plain", messages: question };
        const call = () => stranger.chat.completions.create(asked);
        return told(await raised(OpenAI.AuthenticationError, call));
    },

    unknown_model: async () => told(await refusals(OpenAI.NotFoundError, "nobody")),

    unknown_parameter: async () =>
        told(await refusals(OpenAI.BadRequestError, "plain", { frobnicate: 1 })),

    too_long: async () => told(await refusals(OpenAI.BadRequestError, "long")),

    async limited() {
        const error = await refusals(OpenAI.RateLimitError, "limited");
        return { ...told(error), retry_after: error.headers.get("retry-after") };
    },

    down: async () => told(await refusals(OpenAI.InternalServerError, "down")),

    locked: async () => told(await refusals(OpenAI.InternalServerError, "locked")),

    async cut() {
        let said = "";
        const error = await raised(OpenAI.APIError, async () => {
            for await (const chunk of await create("cut", { stream: true })) {
                said += chunk.choices[0].delta.content ?? "";
            }
        });
        assert.match(error.message, /broke off/);
        // Whole, it fails before there is anything to read.
        await raised(OpenAI.InternalServerError, () => create("cut"));
        return said;
    },

    // By the controller, and by leaving the loop.
    async cancel() {
        const stream = await create("endless", { stream: true });
        for await (const _ of stream) stream.controller.abort();
        for await (const _ of await create("endless", { stream: true })) break;
    },

    async embeddings() {
        const input = ["one", "two words"];
        const packed = await client.embeddings.create({ model: "embed", input });
        const asked = { model: "embed", input, encoding_format: "float" };
        const numbers = await client.embeddings.create(asked);
        const single = ({ data }) => data.map((entry) => Float32Array.from(entry.embedding));
        assert.deepEqual(single(packed), single(numbers));
        assert.equal(packed.usage.total_tokens, 3);
        return [...packed.data[0].embedding];
    },

    async models() {
        const names = (await gather(client.models.list())).map((model) => model.id);
        const model = await client.models.retrieve(names[0]);
        assert.deepEqual([model.id, model.object], [names[0], "model"]);
        await raised(OpenAI.NotFoundError, () => client.models.retrieve("nobody"));
        return names;
    },
});
