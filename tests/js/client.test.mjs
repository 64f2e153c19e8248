// The `Client` of @langchain/langgraph-sdk, as its users get it, against the Treadle at TREADLE_URL.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { Client } from "@langchain/langgraph-sdk";
import { broken } from "./proxy.mjs";

const url = process.env.TREADLE_URL;
const client = new Client({ apiUrl: url });
const hello = { messages: [{ role: "user", content: "hello" }] };
/** A chat that goes on for a second, a token every 20 ms. */
const chatting = { input: hello, config: { configurable: { pace: 0.02 } } };
const everything = { ...chatting, streamMode: ["values", "messages-tuple", "updates", "custom"] };

const newThread = async () => (await client.threads.create()).thread_id;
const events = (parts) => parts.map((part) => part.event);
const contents = (values) => values.messages.map((message) => message.content);
const statusOf = async (thread, run) => (await client.runs.get(thread, run)).status;

async function all(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

/** Every part of the stream, and what `then` gives, which is called in mid-run: when the fifth part has come. */
async function allAndMidway(stream, then) {
  const parts = [];
  let midway;
  for await (const part of stream) if (parts.push(part) === 5) midway = then(parts);
  return [parts, await midway];
}

const join = (thread, run, options) => all(client.runs.joinStream(thread, run, options));

test("a thread is made, and a run is streamed from metadata to end", async () => {
  const thread = await newThread();
  const created = [];
  const parts = await all(client.runs.stream(thread, "echo", { input: hello, onRunCreated: (run) => created.push(run) }));
  assert.deepEqual(events(parts), ["metadata", "values", "values", "end"]);
  assert.deepEqual(contents(parts[2].data), ["hello", "hello"]);
  assert.deepEqual(created, [{ run_id: parts[0].data.run_id, thread_id: thread }]);
  assert.equal(await statusOf(thread, created[0].run_id), "success");
  assert.equal((await client.threads.get(thread)).status, "idle");
});

test("an empty thread has a state without a checkpoint", async () => {
  const state = await client.threads.getState(await newThread());
  assert.equal(state.checkpoint, null);
  assert.deepEqual(state.values, {});
});

test("an empty thread has no history", async () => {
  assert.deepEqual(await client.threads.getHistory(await newThread()), []);
});

test("the history goes from the head to the first checkpoint, each the parent of the one before", async () => {
  const thread = await newThread();
  await client.runs.wait(thread, "stepping", { input: { steps: [] } });
  const states = await client.threads.getHistory(thread);
  assert.deepEqual(states.map((state) => state.next), [[], ["c"], ["b"], ["a"], ["__start__"]]);
  assert.deepEqual(states[0], await client.threads.getState(thread));
  const parents = states.map((state) => state.parent_checkpoint?.checkpoint_id);
  assert.deepEqual(parents, [...states.slice(1).map((state) => state.checkpoint.checkpoint_id), undefined]);
  const before = await client.threads.getHistory(thread, { limit: 2, before: { configurable: states[1].checkpoint } });
  assert.deepEqual(before, states.slice(2, 4));
});

test("a fork makes a sibling, and the head is the newest", async () => {
  const thread = await newThread();
  await client.runs.wait(thread, "echo", { input: hello });
  const root = (await client.threads.getHistory(thread)).at(-1).checkpoint;
  const other = { messages: [{ role: "user", content: "other" }] };
  await client.runs.wait(thread, "echo", { input: other, checkpoint: root });
  const states = await client.threads.getHistory(thread);
  assert.deepEqual(contents(states[0].values), ["other", "other"]);
  assert.equal(states.filter((state) => state.parent_checkpoint?.checkpoint_id === root.checkpoint_id).length, 2);
});

test("the chunks of a message share the id of the final message", async () => {
  const thread = await newThread();
  const parts = await all(client.runs.stream(thread, "chat", { input: hello, streamMode: "messages-tuple" }));
  const chunks = parts.filter((part) => part.event === "messages").map((part) => part.data[0]);
  const final = (await client.threads.getState(thread)).values.messages.at(-1);
  assert.ok(chunks.length > 5);
  assert.deepEqual(new Set(chunks.map((chunk) => chunk.id)), new Set([final.id]));
  assert.equal(chunks.filter((chunk) => chunk.type === "AIMessageChunk").map((chunk) => chunk.content).join(""), final.content);
});

test("a server that stops tells its readers to come back, and they do, with the last id that they had", async () => {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push([request.url, request.headers["last-event-id"]]);
    response.writeHead(200, { "content-type": "text/event-stream", location: "/threads/t/runs/r/stream" });
    if (asked.length === 2) return response.end('event: end\r\ndata: {"status":"success"}\r\nid: 1795358403512-9\r\n\r\n');
    response.write('event: metadata\r\ndata: {"run_id":"r"}\r\nid: 1795358403512-1\r\n\r\n');
    response.write('retry: 1000\r\nevent: reconnect\r\ndata: {"code":"server_stopping"}\r\n\r\n');
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const stopping = new Client({ apiUrl: `http://127.0.0.1:${server.address().port}` });
  const parts = [];
  for await (const part of stopping.runs.stream("t", "echo", { input: hello })) {
    parts.push(part.event);
    if (part.event === "reconnect") server.closeAllConnections();
  }
  server.close();
  assert.deepEqual(parts, ["metadata", "reconnect", "end"]);
  assert.deepEqual(asked, [["/threads/t/runs/stream", undefined], ["/threads/t/runs/r/stream", "1795358403512-1"]]);
});

test("a stream that is joined in mid-run from -1 is the stream that its creator gets, ids included", async () => {
  const thread = await newThread();
  const stream = client.runs.stream(thread, "chat", everything);
  const joined = ([first]) => join(thread, first.data.run_id, { lastEventId: "-1" });
  const [parts, seen] = await allAndMidway(stream, joined);
  assert.ok(parts.every((part) => part.id));
  assert.deepEqual(seen, parts);
});

test("a stream that is joined after its end is replayed, and after its last event there is nothing", async () => {
  const thread = await newThread();
  const parts = await all(client.runs.stream(thread, "chat", { ...everything, config: {} }));
  const run = parts[0].data.run_id;
  assert.deepEqual(await join(thread, run, { lastEventId: "-1" }), parts);
  assert.deepEqual(await join(thread, run), parts);
  assert.deepEqual(await join(thread, run, { lastEventId: parts[3].id }), parts.slice(4));
  assert.deepEqual(await join(thread, run, { lastEventId: parts.at(-1).id }), []);
});

test("a join can ask for fewer modes than the run was created with", async () => {
  const thread = await newThread();
  const parts = await all(client.runs.stream(thread, "chat", { ...everything, config: {} }));
  const narrowed = await join(thread, parts[0].data.run_id, { streamMode: ["updates"] });
  assert.deepEqual(narrowed, parts.filter((part) => ["metadata", "updates", "end"].includes(part.event)));
});

test("a stream whose connection breaks in mid-run goes on without loss or duplicate", async () => {
  const thread = await newThread();
  await broken(url, async (proxied, cut) => {
    const far = new Client({ apiUrl: proxied });
    const [parts, connections] = await allAndMidway(far.runs.stream(thread, "chat", everything), cut);
    assert.ok(connections > 0);
    assert.equal(parts.at(-1).event, "end");
    assert.deepEqual(parts, await join(thread, parts[0].data.run_id));
  });
});

test("a heartbeat is no event", async () => {
  const parts = await all(client.runs.stream(await newThread(), "slow", { input: { seconds: 5.5 } }));
  assert.deepEqual(events(parts), ["metadata", "values", "values", "end"]);
});

test("a run that is cancelled is interrupted, its stream ends, and it cannot be cancelled again", async () => {
  const thread = await newThread();
  const stream = client.runs.stream(thread, "chat", { ...everything, config: { configurable: { pace: 0.3 } } });
  const [parts] = await allAndMidway(stream, ([first]) => client.runs.cancel(thread, first.data.run_id, true));
  const run = parts[0].data.run_id;
  assert.equal(await statusOf(thread, run), "interrupted");
  await assert.rejects(client.runs.cancel(thread, run), /HTTP 404: .*No matching runs to cancel/);
});

test("a cancel that does not wait answers at once, and the run ends", async () => {
  const thread = await newThread();
  const { run_id: run } = await client.runs.create(thread, "slow", { input: { seconds: 600 } });
  await client.runs.cancel(thread, run);
  await client.runs.join(thread, run);
  assert.equal(await statusOf(thread, run), "interrupted");
});

test("an interrupt has one id wherever it is shown, and a value resumes it", async () => {
  const thread = await newThread();
  const parts = await all(client.runs.stream(thread, "asking", { input: hello }));
  const shown = parts.flatMap((part) => part.data?.__interrupt__ ?? []);
  const state = await client.threads.getState(thread);
  const places = [
    shown,
    state.interrupts,
    state.tasks.flatMap((task) => task.interrupts),
    Object.values((await client.threads.get(thread)).interrupts).flat(),
  ];
  for (const place of places) assert.deepEqual(place.map(({ id, value }) => [id, value]), [[shown[0].id, { question: "ok?" }]]);
  assert.equal(await statusOf(thread, parts[0].data.run_id), "success");
  assert.equal((await client.threads.get(thread)).status, "interrupted");
  const values = await client.runs.wait(thread, "asking", { command: { resume: "yes" } });
  assert.equal(contents(values).at(-1), "You said 'yes'.");
  assert.equal((await client.threads.get(thread)).status, "idle");
});

test("an interrupt is resumed by its id", async () => {
  const thread = await newThread();
  const paused = await client.runs.wait(thread, "asking", { input: hello });
  const command = { resume: { [paused.__interrupt__[0].id]: "by id" } };
  const parts = await all(client.runs.stream(thread, "asking", { command }));
  assert.equal(contents(parts.at(-2).data).at(-1), "You said 'by id'.");
});

test("a run stops before a node, and null goes on", async () => {
  const thread = await newThread();
  const values = await client.runs.wait(thread, "stepping", { input: { steps: [] }, interruptBefore: ["b"] });
  assert.deepEqual(values.steps, ["a"]);
  assert.deepEqual((await client.threads.getState(thread)).next, ["b"]);
  assert.deepEqual((await client.runs.wait(thread, "stepping", { input: null })).steps, ["a", "b", "c"]);
});

test("a wait gives the values, and throws the error of a run that fails", async () => {
  assert.deepEqual(contents(await client.runs.wait(await newThread(), "echo", { input: hello })), ["hello", "hello"]);
  const failing = client.runs.wait(await newThread(), "failing", { input: { where: "first" } });
  await assert.rejects(failing, /ValueError: failed in first/);
});

test("a run that fails says so in the last event of its stream", async () => {
  const thread = await newThread();
  const parts = await all(client.runs.stream(thread, "failing", { input: { where: "async" } }));
  assert.deepEqual(parts.at(-1).data, { error: "ValueError", message: "failed in async" });
  assert.equal(parts.at(-1).event, "error");
  assert.equal(await statusOf(thread, parts[0].data.run_id), "error");
});

test("a run in the background is listed, joined while it runs, and joined after it", async () => {
  const thread = await newThread();
  const { run_id: run } = await client.runs.create(thread, "chat", chatting);
  const values = await client.runs.join(thread, run);
  assert.deepEqual(contents(values)[0], "hello");
  assert.deepEqual(await client.runs.join(thread, run), values);
  assert.deepEqual((await client.runs.list(thread)).map((each) => [each.run_id, each.status]), [[run, "success"]]);
});

test("a join of an earlier run gives that run's own result", async () => {
  const thread = await newThread();
  const first = await client.runs.create(thread, "echo", { input: hello });
  const values = await client.runs.join(thread, first.run_id);
  await client.runs.wait(thread, "echo", { input: hello });
  assert.deepEqual(await client.runs.join(thread, first.run_id), values);
});

test("runs go one after the other, in order, and a busy thread rejects who asks for that", async () => {
  const thread = await newThread();
  const run = (name) => client.runs.create(thread, "counting", { input: { run: name, seconds: 0.5 } });
  const runs = [await run("one"), await run("two"), await run("three")];
  const rejected = client.runs.create(thread, "counting", { input: { run: "no" }, multitaskStrategy: "reject" });
  await assert.rejects(rejected, /HTTP 409/);
  const values = await client.runs.join(thread, runs[2].run_id);
  assert.deepEqual(values.order, ["one", "two", "three"]);
  for (const { run_id } of runs) assert.equal(await statusOf(thread, run_id), "success");
});

test("a client that goes away cancels its run if it said so", async () => {
  const thread = await newThread();
  const run = await abandoned(thread, { input: { seconds: 600 }, onDisconnect: "cancel" });
  await client.runs.join(thread, run);
  assert.equal(await statusOf(thread, run), "interrupted");
});

test("a client that goes away leaves its run alone otherwise", async () => {
  const thread = await newThread();
  const run = await abandoned(thread, { input: { seconds: 2 }, onDisconnect: "continue" });
  assert.deepEqual(await client.runs.join(thread, run), { seconds: 2, done: true });
});

test("a second reader that goes away never cancels the run", async () => {
  const thread = await newThread();
  const away = new AbortController();
  const second = async ([first]) => {
    const stream = client.runs.joinStream(thread, first.data.run_id, { signal: away.signal });
    await stream.next();
    away.abort();
  };
  const [parts] = await allAndMidway(client.runs.stream(thread, "chat", { ...everything, onDisconnect: "cancel" }), second);
  assert.equal(parts.at(-1).event, "end");
  assert.equal(await statusOf(thread, parts[0].data.run_id), "success");
});

/** The id of a slow run whose stream was dropped as soon as it had begun. */
async function abandoned(thread, body) {
  const away = new AbortController();
  const stream = client.runs.stream(thread, "slow", { ...body, signal: away.signal });
  const { value } = await stream.next();
  away.abort();
  return value.data.run_id;
}
