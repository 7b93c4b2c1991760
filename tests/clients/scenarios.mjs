// Runs the scenarios of the scripts beside it, which tests/api/clients.rs starts; as scenarios.py.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

export const url = process.env.CALLBOARD_URL;
export const key = process.env.CALLBOARD_KEY;

export const question = [{ role: "user", content: "Is all well?" }];

// Nothing here takes a tenth of it; a client that hangs is to fail, and not to wait for longer.
export const timeout = 30_000;

// The packages are not installed beside the scripts, but below the target folder.
export const load = createRequire(`${process.env.CALLBOARD_TEST_CLIENTS}/`);

// Runs those that are named on the command line.
export async function run(scenarios) {
    for (const name of process.argv.slice(2)) {
        const line = { scenario: name };
        try {
            line.result = await scenarios[name]();
        } catch (error) {
            process.exitCode = 1;
            line.failed = `${error.constructor.name}: ${error.message}`;
            console.error(error);
        }
        console.log(JSON.stringify(line));
    }
    for await (const _ of process.stdin);
    process.exit();
}

// The error of exactly this class that the call ends with.
export async function raised(kind, call) {
    let result;
    try {
        result = await call();
    } catch (error) {
        const message = `${error.constructor.name} is not ${kind.name}: ${error.stack}`;
        assert.equal(error.constructor, kind, message);
        return error;
    }
    return assert.fail(`no ${kind.name}, but ${JSON.stringify(result)}`);
}

export async function gather(stream) {
    const items = [];
    for await (const item of stream) items.push(item);
    return items;
}
