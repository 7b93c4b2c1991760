import { afterEach, describe, expect, it } from "vitest";
import { ApiError } from "../api/error";
import { oneTimeToken, takeToken, tokenFromPaste, tokenOf } from "./oneTimeToken";
import { problemsOf } from "./SetupScreen";
import { asksForCode, safeNext } from "./SignInScreen";

describe("the setup link", () => {
  afterEach(() => history.replaceState(null, "", "/"));

  it("gives its token from the query or the fragment", () => {
    expect(tokenOf("?token=a%2Fb", "")).toBe("a/b");
    expect(tokenOf("", "#token=abc")).toBe("abc");
    expect(tokenOf("", "#abc")).toBe("abc");
    expect(tokenOf("", "")).toBeNull();
  });

  it.each(["/setup?token=secret", "/link#secret"])("leaves nothing in the address: %s", (link) => {
    history.replaceState(null, "", link);
    takeToken();
    expect(location.href).not.toContain("secret");
    expect(link.startsWith(location.pathname)).toBe(true);
    expect(oneTimeToken()).toBe("secret");
  });

  it("may be pasted whole", () => {
    expect(tokenFromPaste(" http://127.0.0.1:8080/setup?token=abc ")).toBe("abc");
    expect(tokenFromPaste("abc")).toBe("abc");
  });
});

describe("the setup form", () => {
  const good = {
    token: "t",
    username: "ada",
    displayName: "",
    password: "twelve chars",
    again: "twelve chars",
  };

  it("lets what the server would take pass", () => {
    expect(problemsOf(good)).toEqual({});
  });

  it("names the field that breaks a rule", () => {
    expect(problemsOf({ ...good, username: "a b" })).toHaveProperty("username");
    expect(problemsOf({ ...good, password: "short", again: "short" })).toHaveProperty("password");
    expect(problemsOf({ ...good, again: "another one!" })).toHaveProperty("again");
    expect(problemsOf({ ...good, token: " " })).toHaveProperty("token");
  });
});

describe("the way on after sign-in", () => {
  it("stays in this page", () => {
    expect(safeNext("/logs?q=x")).toBe("/logs?q=x");
    for (const next of [
      "//evil.example",
      "/\\evil.example",
      "https://evil.example",
      "",
      undefined,
    ]) {
      expect(safeNext(next)).toBe("/");
    }
  });
});

describe("the second factor", () => {
  it("is asked for when the server wants a code, and again after a wrong one", () => {
    const error = (code: "second_factor_required" | "invalid_code" | "invalid_credentials") =>
      new ApiError(401, { code });
    expect(asksForCode(error("second_factor_required"))).toBe(true);
    expect(asksForCode(error("invalid_code"))).toBe(true);
    expect(asksForCode(error("invalid_credentials"))).toBe(false);
    expect(asksForCode(null)).toBe(false);
  });
});
