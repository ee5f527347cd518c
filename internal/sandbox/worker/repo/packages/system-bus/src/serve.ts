import { Hono } from "hono";
import { serve } from "inngest/hono";
import { inngest } from "./inngest/client";
import { clusterFunctionDefinitions } from "./inngest/functions/index.cluster";
import { hostFunctionDefinitions } from "./inngest/functions/index.host";

const role = process.env.WORKER_ROLE === "cluster" ? "cluster" : "host";
const functions = role === "cluster" ? clusterFunctionDefinitions : hostFunctionDefinitions;
const idOf = (fn: { opts?: { id?: string } }) => fn.opts?.id ?? "unknown";
const ids = functions.map(idOf);
const all = [...clusterFunctionDefinitions, ...hostFunctionDefinitions].map(idOf);
const duplicates = [...new Set(all.filter((id, i) => all.indexOf(id) !== i))].sort();
const port = Number(process.env.PORT ?? 3111);
const startedAt = new Date().toISOString();

const app = new Hono();

app.get("/", (c) =>
  c.json({
    service: "system-bus",
    status: "running",
    functions: ids,
    count: ids.length,
    worker: {
      role,
      startedAt,
      roleCounts: { host: hostFunctionDefinitions.length, cluster: clusterFunctionDefinitions.length, active: ids.length },
      duplicateFunctionIds: duplicates,
      hasDuplicateFunctionIds: duplicates.length > 0,
    },
    runtime: { arch: process.arch, cwd: process.cwd() },
  }),
);

app.on(
  ["GET", "POST", "PUT"],
  "/api/inngest",
  serve({ client: inngest, functions, serveHost: process.env.INNGEST_SERVE_HOST?.trim() || undefined }),
);

export default { port, fetch: app.fetch, idleTimeout: 255 };

console.log(`[worker] ${role} with ${ids.length} functions on :${port} (${process.arch})`);

// Register by itself shortly after the start, as a deploy would do by hand.
setTimeout(async () => {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/api/inngest`, { method: "PUT" });
    console.log(`[worker] registration: ${answer.status} ${await answer.text()}`);
  } catch (error) {
    console.warn("[worker] registration failed", error);
  }
}, 5_000);
