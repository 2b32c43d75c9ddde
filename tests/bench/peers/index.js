// Other people's servers, set beside the yardstick where they are installed. A peer is one file:
//
//   missing()             why it cannot be asked here, as words for a person; null when it can
//   start(stage)          the server, on the server's core (spawnServer of ../stage.js)
//   requests[row](stage)  the lines that ask it for the same work as the row of that name (../rows.js)
//   frames[row]           likewise for sockets: what the load maker sends and waits for
//   headers               of the load maker's options, such as a token
//
//
// Those that are no servers have ask() instead (vectors.js).
//
// A row names the peers it wants. What a peer leaves out (rights, durability, a database) is said at its head.
import { nginx } from "./nginx.js";
import { fastify, socketio, ws } from "./node.js";
import { pocketbase } from "./pocketbase.js";
import { hnswlib, sqlite_vec } from "./vectors.js";

export const peers = { nginx, fastify, ws, socketio, pocketbase, sqlite_vec, hnswlib };

/** Names and reasons of those that cannot be asked. */
export function missingPeers() {
  return Object.entries(peers).map(([name, peer]) => ({ name: peer.name ?? name, why: peer.missing() })).filter(({ why }) => why);
}

/** What measures a peer once in a row of requests in a closed loop. */
export function peerHttp(peer, row) {
  return async (stage, { connections, seconds }) => {
    const { port, pid } = await stage.server(peer);
    return stage.load("http", {
      port, pid, connections, seconds, requests: stage.write(`${peer}-${row}.requests`, peers[peer].requests[row](stage)),
      token: stage[`${peer}_token`],
    });
  };
}

/** Likewise for sockets: mode is "sockets" or "fanout". A fresh process, because memory is what is measured. */
export function peerSockets(peer, mode, options) {
  return async (stage) => {
    const { port, pid } = await stage.restart(peer), { hello, speak, ...frames } = peers[peer].frames;
    return stage.load(mode, {
      port, pid, ...options, ...frames,
      hello: hello && stage.write(`${peer}.hello`, [hello]),
      speak: mode === "fanout" ? stage.write(`${peer}.speak`, [speak]) : undefined,
    });
  };
}
