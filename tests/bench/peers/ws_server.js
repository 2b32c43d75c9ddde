// ws_server.js PORT: what one says, all hear
import { WebSocketServer } from "ws";

const port = Number(process.argv[2]);
const server = new WebSocketServer({ port, host: "127.0.0.1", perMessageDeflate: false, backlog: 4096 });
server.on("connection", (socket) => socket.on("message", (bytes) => {
  const text = bytes.toString();
  for (const client of server.clients) client.send(text);
}));
server.on("listening", () => console.log(`listening on http://127.0.0.1:${port}`));
