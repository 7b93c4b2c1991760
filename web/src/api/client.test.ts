import { describe, expect, it, vi } from "vitest";
import { ApiClient, cookie } from "./client";
import { ApiError, OfflineError } from "./error";

interface Call {
  path: string;
  method: string;
  csrf: string | null;
}

type Reply = (call: Call) => Response | Promise<Response>;

const json = (status: number, body: unknown): Response =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
const denied = (): Response => json(401, { code: "invalid_token", message: "expired" });

function setUp(reply: Reply, cookies = "callboard_csrf=one") {
  const calls: Call[] = [];
  const jar = { cookies };
  const time = { now: 1000 };
  const held = new Map<string, string>();
  const client = new ApiClient({
    fetch: async (input, init) => {
      const headers = new Headers(init?.headers);
      const call = {
        path: String(input),
        method: init?.method ?? "GET",
        csrf: headers.get("X-CSRF-Token"),
      };
      calls.push(call);
      return reply(call);
    },
    cookies: () => jar.cookies,
    now: () => time.now,
    storage: {
      getItem: (key) => held.get(key) ?? null,
      setItem: (key, value) => void held.set(key, value),
    },
    locks: undefined,
  });
  client.onSignedOut = vi.fn();
  return { client, calls, jar, time, held };
}

const refreshes = (calls: Call[]): Call[] => calls.filter((c) => c.path.endsWith("/auth/refresh"));

describe("the CSRF header", () => {
  it("goes with every request that changes something, and with no other", async () => {
    const { client, calls } = setUp(() => json(200, {}));
    await client.request("/conversations");
    await client.request("/conversations/1", { method: "DELETE" });
    expect(calls.map((call) => call.csrf)).toEqual([null, "one"]);
  });

  it("is the cookie's of this moment, as another tab may have renewed it", async () => {
    const { client, calls, jar } = setUp(() => json(200, { csrf_token: "from the body" }));
    await client.request("/auth/login", { method: "POST", json: {} });
    jar.cookies = "a=b; callboard_csrf=two";
    await client.request("/x", { method: "POST", json: {} });
    jar.cookies = "";
    await client.request("/x", { method: "POST", json: {} });
    expect(calls.map((call) => call.csrf)).toEqual(["one", "two", "from the body"]);
  });

  it("is read by the whole name of the cookie", () => {
    expect(cookie("csrf", "xcsrf=1; csrf=a%3Db; csrf2=3")).toBe("a=b");
    expect(cookie("csrf", "")).toBeUndefined();
  });
});

describe("a 401", () => {
  it("is met by one refresh for all concurrent requests, and by one more attempt each", async () => {
    let fresh = false;
    const { client, calls } = setUp(({ path }) => {
      if (path.endsWith("/auth/refresh")) {
        fresh = true;
        return json(200, { csrf_token: "two" });
      }
      return fresh ? json(200, { path }) : denied();
    });
    const answers = await Promise.all(["/a", "/b", "/c"].map((path) => client.request(path)));
    expect(answers).toEqual(["/a", "/b", "/c"].map((path) => ({ path: `/api/v1${path}` })));
    expect(refreshes(calls)).toHaveLength(1);
    expect(client.onSignedOut).not.toHaveBeenCalled();
  });

  it("is not met by a refresh when another tab has just renewed", async () => {
    let tries = 0;
    const { client, calls, held } = setUp(() => {
      held.set("callboard.refreshed_at", "2000");
      return tries++ === 0 ? denied() : json(200, {});
    });
    await client.request("/a");
    expect(refreshes(calls)).toHaveLength(0);
  });

  it("that stays ends the session", async () => {
    const { client, calls } = setUp(denied);
    await expect(client.request("/a")).rejects.toMatchObject({
      status: 401,
      code: "invalid_token",
    });
    expect(refreshes(calls)).toHaveLength(1);
    expect(client.onSignedOut).toHaveBeenCalledTimes(1);
  });

  it("of sign-in is about the password and ends nothing", async () => {
    const { client, calls } = setUp(() => json(401, { code: "invalid_credentials" }));
    await expect(
      client.request("/auth/login", { method: "POST", json: {} }),
    ).rejects.toBeInstanceOf(ApiError);
    expect(calls).toHaveLength(1);
    expect(client.onSignedOut).not.toHaveBeenCalled();
  });

  it("does not end the session when the refresh itself meets a broken server", async () => {
    const { client } = setUp(({ path }) =>
      path.endsWith("/auth/refresh") ? json(503, { code: "storage_unavailable" }) : denied(),
    );
    await expect(client.request("/a")).rejects.toMatchObject({ code: "storage_unavailable" });
    expect(client.onSignedOut).not.toHaveBeenCalled();
  });
});

describe("a failure", () => {
  it("has the server's code, message and request id", async () => {
    const body = { code: "invalid_query", message: "no end", link: "", request_id: "r1" };
    const { client } = setUp(() => json(400, body));
    await expect(client.request("/a")).rejects.toMatchObject({
      code: "invalid_query",
      message: "no end",
      requestId: "r1",
    });
  });

  it("without a body of ours is told by its status", async () => {
    const { client } = setUp(() => new Response("<html>", { status: 502 }));
    await expect(client.request("/a")).rejects.toMatchObject({ code: "http_502" });
  });

  it("to reach the server is a matter of its own", async () => {
    const { client } = setUp(() => Promise.reject(new TypeError("failed to fetch")));
    await expect(client.request("/a")).rejects.toBeInstanceOf(OfflineError);
  });
});
