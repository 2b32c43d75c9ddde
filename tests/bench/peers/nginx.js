// nginx: one process, its own configuration in the folder of the run, no log of requests. It answers /healthz from its configuration and
// the asset from disk (open files are kept).
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { SERVER_CORE, freePort, spawnServer } from "../stage.js";

const config = (dir, port) => `
daemon off; master_process off; pid ${dir}/nginx.pid; error_log ${dir}/nginx.log;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; open_file_cache max=100; server_tokens off;
  client_body_temp_path ${dir}/nginx-body; proxy_temp_path ${dir}/nginx-proxy; fastcgi_temp_path ${dir}/nginx-fastcgi;
  uwsgi_temp_path ${dir}/nginx-uwsgi; scgi_temp_path ${dir}/nginx-scgi;
  types { text/javascript js; }
  server {
    listen 127.0.0.1:${port};
    location = /healthz { default_type application/json; return 200 '{"status":"ok"}'; }
    location = /asset { default_type text/javascript; root ${dir}; }
  }
}
`;

export const nginx = {
  missing: () => (spawnSync("nginx", ["-v"]).error ? "nginx is not installed (Debian package nginx-light)" : null),
  async start(stage) {
    const port = await freePort(), file = stage.file("nginx.conf");
    writeFileSync(file, config(stage.dir, port));
    return spawnServer(SERVER_CORE, "nginx", ["-c", file, "-p", stage.dir, "-e", stage.file("nginx.log")], { port });
  },
  requests: { healthz: () => ["GET /healthz"], asset: () => ["GET /asset"] },
};
