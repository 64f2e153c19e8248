// A TCP proxy that breaks its connections when it is told to, as a network does.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** Stands in front of `target` for as long as `use(url, cut)` takes; `cut()` breaks what is open and returns how many that were. */
export async function broken(target, use) {
  const { hostname, port } = new URL(target);
  const sockets = new Set();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [socket, other] of [[near, far], [far, near]]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => [...sockets].map((socket) => socket.resetAndDestroy()).length;
  try {
    await use(`http://127.0.0.1:${server.address().port}`, cut);
  } finally {
    server.close();
    cut();
  }
}
