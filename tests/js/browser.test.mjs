// `useStream` in a real browser: the page is at PAGE_URL, and Treadle, of another origin, at TREADLE_URL.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Client } from "@langchain/langgraph-sdk";
import { chromium } from "playwright-core";
import { broken } from "./proxy.mjs";

const url = process.env.TREADLE_URL;
const client = new Client({ apiUrl: url });
const flags = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const quiet = ["--no-sandbox", "--disable-component-update", "--disable-sync"];

test("tokens appear one by one, and the page ends with the messages of the thread", async () => {
  await opened({ pace: 0.05 }, async (page) => {
    const before = await submitted(page, "hello");
    await idle(page);
    const after = await messages(page);
    assert.ok(before.at(-1)[1].length < after.at(-1)[1].length);
    assert.match(after.at(-1)[1], /^You said: “hello”/);
    assert.deepEqual(after, await kept(page));
  });
});

test("stop ends the run as interrupted", async () => {
  await opened({ pace: 0.5 }, async (page) => {
    await submitted(page, "hello");
    await page.getByRole("button", { name: "Stop" }).click();
    await endsAsInterrupted(page);
  });
});

test("stop ends the run as interrupted, too, where the page would reconnect", async () => {
  await opened({ pace: 0.5, reconnect: true }, async (page) => {
    await submitted(page, "hello");
    await page.getByRole("button", { name: "Stop" }).click();
    await endsAsInterrupted(page);
  });
});

test("a page that is closed ends its run as interrupted", async () => {
  let thread, run;
  await opened({ pace: 0.5 }, async (page) => {
    await submitted(page, "hello");
    [thread, run] = await names(page);
  });
  await client.runs.join(thread, run);
  assert.equal((await client.runs.get(thread, run)).status, "interrupted");
});

test("an interrupt is shown, and a resume finishes it", async () => {
  await opened({}, async (page) => {
    await send(page, "please approve this");
    await approved(page);
  });
});

test("an interrupt is shown after a reload, and a resume finishes it", async () => {
  await opened({ refetch: true }, async (page) => {
    await send(page, "please approve this");
    await page.getByText("Shall I go ahead?").waitFor();
    await idle(page);
    await page.reload();
    await approved(page);
  });
});

test("a message that is edited makes a branch, and the page can go back to the other", async () => {
  await opened({ history: true }, async (page) => {
    await send(page, "hello");
    await page.getByText("You said: “hello”").waitFor();
    await idle(page);
    const first = await messages(page);
    await page.getByRole("button", { name: "Edit" }).click();
    await page.getByText("You said: “hello again”").waitFor();
    await idle(page);
    assert.equal((await messages(page)).length, 2);
    await page.locator("button.branch", { hasText: "1" }).first().click();
    await page.getByText("You said: “hello”").waitFor();
    assert.deepEqual(await messages(page), first);
  });
});

test("a page that is reloaded in mid-run goes on with it", async () => {
  await opened({ pace: 0.08, reconnect: true }, async (page) => {
    const before = await submitted(page, "hello");
    await page.reload();
    await page.locator("#status", { hasText: "loading" }).waitFor();
    await page.locator("li.ai").waitFor();
    await idle(page);
    const after = await messages(page);
    assert.equal(after.length, 2);
    assert.deepEqual(after.map(([id]) => id), before.map(([id]) => id));
    assert.deepEqual(after, await kept(page));
  });
});

test("a page whose connection breaks in mid-run goes on with it", async () => {
  await broken(url, async (proxied, cut) => {
    await opened({ api: proxied, pace: 0.05, resumable: true }, async (page) => {
      await submitted(page, "hello");
      assert.ok(cut() > 0);
      await idle(page);
      assert.equal(await page.locator("#error").count(), 0);
      assert.deepEqual(await messages(page), await kept(page));
    });
  });
});

test("a page of another origin may send the SDK's headers, and read where its stream is", async () => {
  await opened({}, async (page) => {
    const { thread_id: thread } = await client.threads.create();
    const read = await page.evaluate(stream, `${url}/threads/${thread}/runs/stream`);
    assert.notEqual(new URL(page.url()).origin, new URL(url).origin);
    assert.match(read["content-location"], new RegExp(`^/threads/${thread}/runs/[0-9a-f-]{36}$`));
    assert.equal(read.location, `${read["content-location"]}/stream`);
  });
});

/** Run in the page: which headers of a stream it can read. */
async function stream(address) {
  const headers = { "content-type": "application/json", "last-event-id": "-1", "x-api-key": "k", authorization: "Bearer a" };
  const answer = await fetch(address, { method: "POST", headers, body: JSON.stringify({ assistant_id: "echo", input: { messages: [{ role: "user", content: "hello" }] } }) });
  await answer.body.cancel();
  return Object.fromEntries(answer.headers);
}

/** Gives the page to `use`, in a browser of its own, and keeps a picture of how it ends. */
async function opened({ api = url, ...asked }, use) {
  const profile = await mkdtemp(join(tmpdir(), "chromium-"));
  const options = { executablePath: process.env.CHROMIUM, args: [...flags, ...quiet] };
  const browser = await chromium.launchPersistentContext(profile, options);
  const [page] = browser.pages();
  page.setDefaultTimeout(30_000);
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  try {
    await page.goto(`${process.env.PAGE_URL}/?${new URLSearchParams({ api, ...asked })}`);
    await use(page);
    assert.deepEqual(errors, []);
  } finally {
    await page.screenshot({ path: process.env.PICTURE });
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  }
}

async function send(page, text) {
  await page.getByLabel("Message").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

/** The messages of the page once the run has begun to answer. */
async function submitted(page, text) {
  await send(page, text);
  await page.locator("li.ai span", { hasText: /\S/ }).waitFor();
  await page.locator("#status[data-run]", { hasText: "loading" }).waitFor();
  return messages(page);
}

const idle = (page) => page.locator("#status", { hasText: "idle" }).waitFor();

/** The thread's id and the run's. */
const names = (page) => page.locator("#status").evaluate(({ dataset }) => [dataset.thread, dataset.run]);

/** The id and the text of each message on the page. */
const messages = (page) =>
  page.locator("ol li").evaluateAll((items) => items.map((item) => [item.dataset.id, item.querySelector("span").textContent]));

/** The same of the messages that the server keeps. */
async function kept(page) {
  const [thread] = await names(page);
  const { values } = await client.threads.getState(thread);
  return values.messages.map(({ id, content }) => [id, content]);
}

/** Answers the question that is shown, and sees it go. */
async function approved(page) {
  await page.getByText("Shall I go ahead?").waitFor();
  await page.getByRole("button", { name: "approve", exact: true }).click();
  await page.getByText("You approved it").waitFor();
  await idle(page);
  await page.locator("#interrupt").waitFor({ state: "detached" });
  assert.deepEqual(await messages(page), await kept(page));
}

async function endsAsInterrupted(page) {
  await idle(page);
  const [thread, run] = await names(page);
  await client.runs.join(thread, run);
  assert.equal((await client.runs.get(thread, run)).status, "interrupted");
}
