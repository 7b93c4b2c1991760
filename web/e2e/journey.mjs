// The journey of a first user in a real browser against a real server: set up, upload, ask, see the
// answer stream, open a citation, in two tabs, over a lost page, and out again.
//
// scripts/e2e starts what it needs: the server, and before its built-in provider the fake one of
// crates/testkit/src/bin/fake-vendor.rs, which answers questions with the word `slowly`.
//
//   CALLBOARD_E2E_URL        http://127.0.0.1:8080
//   CALLBOARD_E2E_SETUP_URL  the one-time link that the server printed
//   CALLBOARD_E2E_LOG        a log file to upload, of an sshd
//   CALLBOARD_E2E_ARTIFACTS  where screenshots go (default: a new folder in the temporary one)
//   CALLBOARD_E2E_CHROMIUM   the browser (default: /usr/bin/chromium)
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { chromium } from "playwright-core";

const WAIT_MS = 30_000;
const INDEX_MS = 120_000;
const POLL_MS = 20;
const PASSWORD = "a long enough password 1";

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const base = need("CALLBOARD_E2E_URL").replace(/\/$/, "");
const setupLink = need("CALLBOARD_E2E_SETUP_URL");
const logFile = need("CALLBOARD_E2E_LOG");
const question = "Which IP addresses failed to log in most often, and when?";
/** The fake provider's slow answer, and what its 60 tokens cost. */
const SLOW_ANSWER = Array.from({ length: 60 }, (_, index) => `t${index}`).join(" ");
const SLOW_COST = "$0.06";
const artifacts =
  process.env.CALLBOARD_E2E_ARTIFACTS ?? (await mkdtemp(join(tmpdir(), "callboard-e2e-")));
await mkdir(artifacts, { recursive: true });
const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core"), "utf8");

/** What the browser complained of; any of it fails the journey. */
const complaints = [];
/** Responses that the journey expects to fail: the first look of somebody not signed in, a password
 * that needs a code, and the look at what is not there. */
const EXPECTED_FAILURES = [
  { path: /\/api\/v1\/auth\/(?:me|refresh)$/, status: 401 },
  { path: /\/no\/such\/page$/, status: 404 },
  { path: /\/api\/v1\/auth\/login$/, status: 401 },
];

/** Frames that any page received, in their order. */
const frames = [];

function watch(page, name) {
  page.setDefaultTimeout(WAIT_MS);
  page.on("websocket", (socket) => {
    socket.on("framereceived", ({ payload }) => frames.push(JSON.parse(String(payload))));
  });
  page.on("pageerror", (error) => complaints.push(`${name}: ${error.stack ?? error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const { url } = message.location();
    const expected = EXPECTED_FAILURES.some(
      ({ path, status }) => path.test(url) && message.text().includes(`status of ${status}`),
    );
    if (expected) return;
    complaints.push(`${name}: console: ${message.text()} (${url})`);
  });
}

/** Reports of the content security policy are also told to the page itself. */
const CSP_WATCH = () => {
  window.cspReports = [];
  document.addEventListener("securitypolicyviolation", (event) => {
    window.cspReports.push(`${event.violatedDirective}: ${event.blockedURI}`);
  });
};

async function screen(page, name) {
  await page.screenshot({ path: join(artifacts, `${name}.png`) });
}

/** The checks of every screen: accessibility, and the policy. */
async function check(page, name) {
  await screen(page, name);
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const violations = await page.evaluate(async () => {
      const result = await window.axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
      });
      return result.violations.map(
        (v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join("; ")}`,
      );
    });
    assert.deepEqual(violations, [], `axe-core on ${name}, ${colorScheme}`);
  }
  assert.deepEqual(await page.evaluate(() => window.cspReports), [], `CSP reports on ${name}`);
}

async function step(name, work) {
  const began = performance.now();
  await work();
  console.log(`ok  ${name} (${Math.round(performance.now() - began)} ms)`);
}

async function ask(page, text) {
  const field = page.getByRole("textbox", { name: "Question" });
  await field.fill(text);
  await field.press("Enter");
}

const answers = (page) => page.getByRole("article", { name: "Answer" });

/** The footer stands once the answer is whole and stored. */
async function answered(page, index = 0) {
  await answers(page).nth(index).locator("footer").waitFor();
}

const flat = (text) => text.replace(/\s+/g, " ").trim();
/** Not `innerText`: what is out of sight is not laid out and has none. */
const prose = async (page, index) =>
  flat(await answers(page).nth(index).locator(".prose-answer").textContent());

/** Waits until more of the answer is on the screen than `shown` characters; tells how many. */
async function grown(page, index, shown) {
  const deadline = performance.now() + WAIT_MS;
  while (performance.now() < deadline) {
    const texts = await answers(page).locator(".prose-answer").allTextContents();
    const length = flat(texts[index] ?? "").length;
    if (length > shown) return length;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`answer ${index} did not grow beyond ${shown} characters`);
}

/** Sees the answer grow twice on the screen, and not yet be whole. */
async function seenGrowing(page, index) {
  const length = await grown(page, index, await grown(page, index, 0));
  assert.ok(length < SLOW_ANSWER.length, "it grows before it is whole");
}

async function setUp(page) {
  await page.goto(base);
  const token = page.getByLabel("Setup link");
  await token.waitFor();
  // In the same tab: only the fragment of its address changes.
  await page.goto(setupLink);
  await token.waitFor({ state: "detached" });
  await page.getByRole("heading", { name: "Welcome" }).waitFor();
  assert.equal(new URL(page.url()).search + new URL(page.url()).hash, "", "the token left the URL");
  await check(page, "setup");
  await page.getByLabel("User name").fill("admin");
  await page.getByLabel("Display name").fill("Ada");
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByLabel("Password again").fill(PASSWORD);
  await page.getByRole("button", { name: "Create administrator" }).click();
  await page.getByRole("heading", { name: "Ask your logs" }).waitFor();
  await page
    .getByText(/indexed/)
    .first()
    .waitFor();
  await check(page, "welcome");
}

/** Invites somebody, who chooses a password by the link in a browser of their own. */
async function invited(context) {
  const csrf = (await context.cookies(base)).find((cookie) => cookie.name === "callboard_csrf");
  const reply = await context.request.post(`${base}/api/v1/admin/users`, {
    headers: { "x-csrf-token": csrf.value },
    data: { username: "grace", role: "viewer" },
  });
  assert.equal(reply.status(), 201, "the administrator may invite");
  const { link } = await reply.json();
  const apart = await chromium.launch(LAUNCH);
  try {
    const page = await apart.newPage();
    watch(page, "the invited");
    await page.goto(link.url);
    await page.getByRole("heading", { name: "Choose a password" }).waitFor();
    assert.equal(new URL(page.url()).hash, "", "the token left the URL");
    await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
    await page.getByLabel("Password again").fill(PASSWORD);
    await page.getByRole("button", { name: "Save and sign in" }).click();
    await page.getByRole("heading", { name: "Ask your logs" }).waitFor();
    await page.getByText("grace · viewer").waitFor();
  } finally {
    await apart.close();
  }
}

async function upload(page) {
  await page.getByRole("link", { name: "Log search" }).click();
  await page.getByRole("button", { name: "Upload" }).waitFor();
  await page.locator("input[type=file]").setInputFiles(logFile);
  const row = page.getByRole("list", { name: "Uploads" }).getByRole("listitem");
  await row.getByText(basename(logFile)).waitFor();
  await row.getByText(/^Indexed [\d,]+ lines?/).waitFor({ timeout: INDEX_MS });
  await page.getByRole("grid", { name: "Found lines" }).getByRole("row").first().waitFor();
  await check(page, "logs");
}

async function search(page) {
  await page.getByLabel("Query").fill("failed password");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await page.waitForURL(/q=failed/);
  const row = page
    .getByRole("grid")
    .getByRole("row")
    .filter({ hasText: /failed password/i })
    .first();
  await row.click();
  await page.locator("li[aria-current=true]").waitFor();
  await check(page, "logs-context");
  await page.keyboard.press("Escape");
  await page.locator("li[aria-current=true]").waitFor({ state: "detached" });
}

/** What lines have in common, and from there to the lines of one pattern. */
async function patterns(page) {
  await page.getByRole("button", { name: "Patterns" }).click();
  const list = page.getByRole("list", { name: "Patterns" });
  await list.getByRole("listitem").first().waitFor();
  await check(page, "patterns");
  await page.getByLabel("Rising").check();
  await page.waitForURL(/patterns=rising/);
  await list.getByRole("button").first().click();
  await page.waitForURL(/q=[^&]*pattern%3AP\d+/);
  await page.getByRole("grid", { name: "Found lines" }).getByRole("row").first().waitFor();
}

/** Asks, and sees the answer grow on the screen until it is whole. */
async function streamed(page) {
  await page.getByRole("link", { name: "New chat" }).click();
  await ask(page, "Who came in the night? Tell it slowly.");
  await page.waitForURL(/\/c\//);
  await seenGrowing(page, 0);
  await screen(page, "growing");
  await answered(page);
  assert.equal(await prose(page, 0), SLOW_ANSWER);
}

/** The built-in provider answers from the log; its text, too, comes before the whole answer. */
async function fromTheLog(page) {
  await page.getByRole("link", { name: "New chat" }).click();
  await page.getByRole("heading", { name: "Ask your logs" }).waitFor();
  const first = frames.length;
  await ask(page, question);
  await page.waitForURL(/\/c\//);
  await answered(page);
  const kinds = frames.slice(first).map((frame) => frame.type);
  const [chunk, whole] = [kinds.indexOf("stream_chunk"), kinds.indexOf("response")];
  assert.ok(chunk >= 0 && chunk < whole, `the answer was streamed: ${kinds.join(", ")}`);
  await check(page, "answer");
}

async function citation(page) {
  const button = page.locator("button[data-citation]").first();
  await button.waitFor();
  const id = await button.getAttribute("data-citation");
  await button.click();
  const line = page.locator("li[aria-current=true]");
  await line.waitFor();
  assert.equal(await line.getAttribute("data-line"), id, "the cited line is the highlighted one");
  const written = (await readFile(logFile, "utf8")).split("\n").map(flat).filter(Boolean);
  const shown = flat(await line.locator("span").nth(1).innerText());
  assert.ok(
    written.some((text) => shown.startsWith(text) || text.startsWith(shown)),
    `the highlighted line stands in the file: ${shown}`,
  );
  await check(page, "evidence");
  await page.keyboard.press("Escape");
  await line.waitFor({ state: "detached" });
  const focused = await page.evaluate(() => document.activeElement?.dataset.citation);
  assert.equal(focused, id, "the focus is back on the citation");
}

async function twoTabs(context, page) {
  const second = await context.newPage();
  watch(second, "second tab");
  await second.goto(page.url());
  await answered(second);
  await ask(page, `${question} Answer once more.`);
  await answered(page, 1);
  await answered(second, 1);
  assert.equal(await prose(second, 1), await prose(page, 1), "both tabs show the same turn");
  assert.equal(await answers(second).count(), 2);
  return second;
}

/** Both tabs close while the answer grows; it is whole, and there once, when somebody comes back. */
async function closedInMidAnswer(context, page, second) {
  const address = page.url();
  const text = "What are the most frequent errors? Tell it slowly.";
  await ask(page, text);
  await Promise.all([seenGrowing(page, 2), seenGrowing(second, 2)]);
  assert.equal(await answers(page).nth(2).locator("footer").count(), 0, "it is still running");
  await Promise.all([page.close(), second.close()]);
  const back = await context.newPage();
  watch(back, "came back");
  await back.goto(address);
  await storedOnce(back, text);
  await back.reload();
  await storedOnce(back, text);
  return back;
}

async function storedOnce(page, text) {
  await answered(page, 2);
  assert.equal(await prose(page, 2), SLOW_ANSWER, "the whole answer is there");
  assert.equal(await answers(page).count(), 3, "and it is there once");
  const questions = page.getByRole("article", { name: "Question" });
  assert.equal(await questions.filter({ hasText: text }).count(), 1, "as is its question");
  const footer = flat(await answers(page).nth(2).locator("footer").textContent());
  assert.ok(footer.includes(SLOW_COST), `it says what it cost: ${footer}`);
}

async function phone(page) {
  await page.setViewportSize({ width: 390, height: 780 });
  await answered(page);
  await check(page, "phone-chat");
  await page.locator("button[data-citation]").first().click();
  await page.getByRole("dialog").locator("li[aria-current=true]").waitFor();
  await check(page, "phone-evidence");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  const wide = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  assert.equal(wide, 0, "nothing is wider than the phone");
  await page.setViewportSize({ width: 1280, height: 800 });
}

async function notFound(page) {
  const reply = await page.goto(`${base}/no/such/page`);
  assert.equal(reply?.status(), 404);
  await page.getByRole("heading", { name: "There is nothing at this address" }).waitFor();
  await check(page, "not-found");
  await page.getByRole("link", { name: "New chat" }).first().click();
}

async function signOutAndIn(page) {
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await check(page, "sign-in");
  const cookies = await page.context().cookies();
  assert.deepEqual(
    cookies.filter((cookie) => cookie.value !== "").map((cookie) => cookie.name),
    [],
    "no cookie is left",
  );
  await page.goto(`${base}/logs`);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.getByLabel("User name").fill("admin");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(/\/logs$/);
  await page.getByRole("heading", { name: "Log search" }).waitFor();
}

/** The code of an authenticator (RFC 6238), so many half minutes from now. */
function totp(secret, away) {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret].map((c) => alphabet.indexOf(c).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + away));
  const digest = createHmac("sha1", key).update(step).digest();
  const number = digest.readUInt32BE(digest.at(-1) & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

async function secondFactor(context, page) {
  const csrf = (await context.cookies(base)).find((cookie) => cookie.name === "callboard_csrf");
  const post = async (end, data) => {
    const headers = { "x-csrf-token": csrf.value };
    const url = `${base}/api/v1/auth/second-factor${end}`;
    const reply = await context.request.post(url, { headers, data });
    assert.ok(reply.ok(), `${end}: ${reply.status()}`);
    return reply.json();
  };
  const { secret } = await post("");
  await post("/confirm", { code: totp(secret, -1) });
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("User name").fill("admin");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  const code = page.getByLabel("Code");
  await code.waitFor();
  await code.fill(totp(secret, 0));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Ask your logs" }).waitFor();
}

const profile = await mkdtemp(join(tmpdir(), "callboard-chromium-"));
const LAUNCH = {
  executablePath: process.env.CALLBOARD_E2E_CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
};
const context = await chromium.launchPersistentContext(profile, {
  ...LAUNCH,
  viewport: { width: 1280, height: 800 },
});
let failed = false;
try {
  await context.addInitScript(CSP_WATCH);
  // Through the debugger and not as a script of the page, whose policy stays as it is.
  await context.addInitScript({ content: axeSource });
  let page = context.pages()[0] ?? (await context.newPage());
  let second;
  watch(page, "first tab");
  await step("the setup link makes an administrator", () => setUp(page));
  await step("an invited person chooses a password", () => invited(context));
  await step("a log is uploaded and indexed", () => upload(page));
  await step("the log search finds and opens a line", () => search(page));
  await step("patterns lead to their lines", () => patterns(page));
  await step("an answer is seen growing", () => streamed(page));
  await step("a question is answered from the log", () => fromTheLog(page));
  await step("a citation opens the very line", () => citation(page));
  await step("two tabs show the same turn", async () => {
    second = await twoTabs(context, page);
  });
  await step("an answer outlives the closing of both tabs", async () => {
    page = await closedInMidAnswer(context, page, second);
  });
  await step("the same on a phone", () => phone(page));
  await step("an unknown address says so", () => notFound(page));
  await step("sign out, and in again where one wanted to go", () => signOutAndIn(page));
  await step("a code goes with the password", () => secondFactor(context, page));
  assert.deepEqual(complaints, [], "the browser complained of nothing");
  console.log("the journey is complete");
} catch (error) {
  failed = true;
  console.error(`FAILED: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
  for (const complaint of complaints) console.error(`  ${complaint}`);
  for (const [index, page] of context.pages().entries()) {
    await screen(page, `failed-${index}`).catch(() => {});
    console.error(`  page ${index}: ${page.url()}`);
  }
  console.error(`screenshots: ${artifacts}`);
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
