// A chat page as its users write one: `useStream`, a list of messages, and buttons. Its URL says what it talks to.

import { useStream } from "@langchain/langgraph-sdk/react";
import { useState } from "react";
import { createRoot } from "react-dom/client";

const asked = new URLSearchParams(location.search);

function Chat() {
  const [threadId, setThreadId] = useState(asked.get("thread"));
  const [run, setRun] = useState();
  const stream = useStream({
    apiUrl: asked.get("api"),
    assistantId: "chat",
    threadId,
    onThreadId: (id) => {
      setThreadId(id);
      asked.set("thread", id);
      history.replaceState(null, "", `?${asked}`);
    },
    onCreated: (created) => setRun(created.run_id),
    // Whoever listens to this makes the hook read the thread's state after each run; otherwise it trusts the stream.
    onFinish: asked.has("refetch") ? () => {} : undefined,
    reconnectOnMount: asked.has("reconnect"),
    fetchStateHistory: asked.has("history"),
  });
  const say = (content, options) => stream.submit({ messages: [{ type: "human", content }] }, { ...paced, ...options });
  return (
    <>
      <h1>A chat with Treadle</h1>
      <p id="status" data-thread={threadId} data-run={run}>
        {stream.isLoading ? "loading" : "idle"}
      </p>
      <ol>
        {stream.messages.map((message) => (
          <Message key={message.id} message={message} stream={stream} say={say} />
        ))}
      </ol>
      {stream.interrupt && <Question asked={stream.interrupt.value} stream={stream} />}
      {stream.error && <pre id="error">{String(stream.error)}</pre>}
      <form action={(form) => say(form.get("text"))}>
        <input name="text" aria-label="Message" />
        <button>Send</button>
        <button type="button" onClick={() => stream.stop()}>
          Stop
        </button>
      </form>
    </>
  );
}

/** Seconds per token, so that there is something to interrupt; and whether a run outlives its connection. */
const paced = {
  config: { configurable: { pace: Number(asked.get("pace") ?? 0) } },
  streamResumable: asked.has("resumable") || undefined,
};

function Message({ message, stream, say }) {
  const known = stream.getMessagesMetadata(message);
  const from = { checkpoint: known?.firstSeenState?.parent_checkpoint };
  const branches = known?.branchOptions ?? [];
  return (
    <li className={message.type} data-id={message.id}>
      <span>{message.content}</span>
      {message.type === "human" && from.checkpoint && (
        <button onClick={() => say(`${message.content} again`, from)}>Edit</button>
      )}
      {branches.map((branch) => (
        <button key={branch} className="branch" onClick={() => stream.setBranch(branch)}>
          {branches.indexOf(branch) + 1}
        </button>
      ))}
    </li>
  );
}

function Question({ asked: { question, options }, stream }) {
  return (
    <section id="interrupt">
      <p>{question}</p>
      {options.map((resume) => (
        <button key={resume} onClick={() => stream.submit(undefined, { command: { resume } })}>
          {resume}
        </button>
      ))}
    </section>
  );
}

createRoot(document.getElementById("root")).render(<Chat />);
