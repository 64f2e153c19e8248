// The usage page in a real browser, at TREADLE_URL; pictures of it go to the folder PICTURES.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Client } from "@langchain/langgraph-sdk";
import { chromium } from "playwright-core";

const url = process.env.TREADLE_URL;
const client = new Client({ apiUrl: url });
const flags = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const quiet = ["--no-sandbox", "--disable-component-update", "--disable-sync"];
const WINDOWS = { wide: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };

test("what was used is drawn, with its SQL, in a wide window and on a phone", async () => {
  await used();
  for (const [name, viewport] of Object.entries(WINDOWS)) {
    await opened(viewport, async (page) => {
      for (const panel of ["by_day", "by_model", "by_caller", "latency", "outcomes"]) {
        assert.ok(await page.locator(`#panel-${panel} .chart svg .point`).count(), `${panel} has bars`);
      }
      assert.match(await page.locator("#panel-by_model table").innerText(), /demo-large/);
      assert.match(await page.locator("#panel-by_caller table").innerText(), /subagent/);
      await page.locator("#panel-by_model summary").click();
      assert.match(await page.locator("#panel-by_model pre").innerText(), /FROM calls/);
      await fits(page, viewport);
      await page.screenshot({ path: join(process.env.PICTURES, `full-${name}.png`), fullPage: true });
    });
  }
});

test("a time in which nothing was used says so, in a wide window and on a phone", async () => {
  for (const [name, viewport] of Object.entries(WINDOWS)) {
    await opened(viewport, async (page) => {
      await page.getByLabel("Days").selectOption("own");
      await page.locator("[name=since]").fill("2001-01-01");
      await page.locator("[name=until]").fill("2001-12-31");
      await page.locator("#empty").waitFor();
      assert.equal(await page.locator(".panel:visible").count(), 0);
      await fits(page, viewport);
      await page.screenshot({ path: join(process.env.PICTURES, `empty-${name}.png`), fullPage: true });
    });
  }
});

test("an assistant that is chosen is the only one that is counted", async () => {
  await used();
  await opened(WINDOWS.wide, async (page) => {
    const calls = () => page.locator("#totals .total", { hasText: "model calls" }).locator("b").innerText();
    const all = Number(await calls());
    await page.locator("[name=assistant_id] option", { hasText: "chat" }).waitFor({ state: "attached" });
    await page.getByLabel("Assistant").selectOption({ label: "chat" });
    await page.waitForFunction((before) => document.querySelector("#totals b + small") && document.body.dataset.state === "shown"
      && Number([...document.querySelectorAll("#totals .total")].find((tile) => /model calls/.test(tile.innerText)).firstChild.innerText) < before, all);
    assert.doesNotMatch(await page.locator("#panel-by_caller table").innerText(), /subagent/);
  });
});

async function used() {
  for (const assistant of ["research", "chat"]) {
    const { thread_id } = await client.threads.create();
    const input = { messages: [{ role: "user", content: "Ray actors" }] };
    await client.runs.wait(thread_id, assistant, { input, config: { configurable: { pace: 0 } } });
  }
}

async function fits(page, viewport) {
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= viewport.width, "nothing sticks out");
}

/** The page, once it has shown its answers; it must ask no other host, and complain of nothing. */
async function opened(viewport, look) {
  const profile = await mkdtemp(join(tmpdir(), "treadle-usage-"));
  const executablePath = process.env.CHROMIUM;
  const browser = await chromium.launchPersistentContext(profile, { executablePath, args: [...flags, ...quiet], viewport });
  try {
    const page = await browser.newPage();
    const asked = [], complaints = [];
    page.on("request", (request) => asked.push(request.url()));
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(`${url}/usage`);
    await page.locator("body[data-state=shown]").waitFor();
    await look(page);
    assert.deepEqual(complaints, []);
    assert.deepEqual(asked.filter((one) => !one.startsWith(url) && !/^(data|blob):/.test(one)), []);
  } finally {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  }
}
