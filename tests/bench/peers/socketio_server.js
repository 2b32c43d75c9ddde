// socketio_server.js PORT: what one says, all in the room hear. Pings come so seldom that the load maker need not answer any.
import { createServer } from "node:http";
import { Server } from "socket.io";

const port = Number(process.argv[2]), http = createServer();
const io = new Server(http, { transports: ["websocket"], pingInterval: 3600000, perMessageDeflate: false, serveClient: false });
io.on("connection", (socket) => {
  socket.join("room");
  socket.on("say", (words) => io.to("room").emit("message:received", words));
});
http.listen({ port, host: "127.0.0.1", backlog: 4096 }, () => console.log(`listening on http://127.0.0.1:${port}`));
