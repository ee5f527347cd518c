// A small worker that looks like the real one from outside: its own health page
// at / and the SDK at /api/inngest. Everything that a test varies comes from the
// environment. Its steps print what they do on stdout, one line of JSON each.
import { Hono } from "hono";
import { makeClient, makeFunction, makeHandler, version } from "./sdk.mjs";

const env = (name, otherwise) => process.env[name] ?? otherwise;
const port = Number(env("PORT", "3111"));
const host = env("HOST", "127.0.0.1");
const log = (what) => process.stdout.write(JSON.stringify({ at: Date.now(), pid: process.pid, ...what }) + "\n");

// report sends a line to the test that counts what this worker does (REPORT_TO),
// and returns when it has arrived. A pod's own log would be lost with the pod.
const report = async (what) => {
  const line = JSON.stringify({ at: Date.now(), pid: process.pid, pod: process.env.HOSTNAME, tag: process.env.TAG, ...what });
  await fetch(process.env.REPORT_TO, { method: "POST", body: line });
};

const client = makeClient({ id: env("OTHER_APP_ID", env("INNGEST_APP_ID", "system-bus-cluster")) });
const slowMs = Number(env("SLOW_MS", "60000"));
const retries = Number(env("RETRIES", "2"));

// Slow steps end after their time, or as soon as somebody posts to /finish, so that
// a test which has to see a running step does not race against the step's end.
const finishers = new Set();
const finished = (ms) =>
  new Promise((done) => {
    const finish = () => {
      clearTimeout(timer);
      finishers.delete(finish);
      done();
    };
    const timer = setTimeout(finish, ms);
    finishers.add(finish);
  });

const step = (ctx, name, ms = 0) =>
  ctx.step.run(name, async () => {
    log({ step: name, state: "began", run: ctx.runId, attempt: ctx.attempt });
    if (ms > 0) await finished(ms);
    log({ step: name, state: "ended", run: ctx.runId, attempt: ctx.attempt });
    return { by: process.pid };
  });

const all = {
  "approval-request": () =>
    makeFunction(client, { id: "approval-request", retries }, { event: env("APPROVAL_EVENT", "approval/requested") }, async (ctx) => {
      await step(ctx, "first");
      const slow = await step(ctx, "slow", slowMs);
      return { ok: true, slow };
    }),
  "voice-missed-call": () =>
    makeFunction(client, { id: "voice-missed-call", retries: 0 }, { event: "voice/missed" }, async (ctx) => {
      await step(ctx, "call", slowMs);
      return { ok: true };
    }),
  "queue-observer": () =>
    makeFunction(
      client,
      { id: "queue-observer", onFailure: async () => log({ failure: "queue-observer" }) },
      { cron: "0 * * * *" },
      async (ctx) => step(ctx, "observe"),
    ),
  zero: () =>
    makeFunction(client, { id: "zero", retries: 0, concurrency: { limit: 2 } }, { event: "v4/zero" }, (ctx) => step(ctx, "only", slowMs)),
  hourly: () => makeFunction(client, { id: "hourly" }, { cron: env("HOURLY", "0 * * * *") }, (ctx) => step(ctx, "tick")),
  napper: () =>
    makeFunction(client, { id: "napper", retries: 1 }, { event: "nap/wanted" }, async (ctx) => {
      await step(ctx, "before");
      await ctx.step.sleep("nap", env("NAP", "1h"));
      return step(ctx, "after");
    }),
  parallel: () =>
    makeFunction(client, { id: "parallel", retries: 1, concurrency: { limit: 2 } }, { event: "parallel/wanted" }, (ctx) =>
      Promise.all([step(ctx, "left", 20), step(ctx, "right", 20)]),
    ),
  thrower: () =>
    makeFunction(client, { id: "thrower", retries: 1, onFailure: async () => log({ failure: "thrower" }) }, { event: "throw/wanted" }, (ctx) =>
      ctx.step.run("throw", async () => {
        log({ step: "throw", state: "began", run: ctx.runId, attempt: ctx.attempt });
        throw new Error("thrown on purpose");
      }),
    ),
  inviter: () =>
    makeFunction(client, { id: "inviter", retries: 1 }, { event: "invite/wanted" }, async (ctx) => {
      const said = await ctx.step.waitForEvent("answer", { event: "invite/answered", timeout: "1h" });
      return step(ctx, said ? "answered" : "unanswered");
    }),
};

// loaded has a step for each of the event's durations, and reports each
// execution of one: the event's number says which run it belongs to.
const loaded = async (ctx) => {
  const { n, ms } = ctx.event.data;
  for (const [i, duration] of ms.entries()) {
    await ctx.step.run(`step ${i}`, async () => {
      await report({ n, step: i, state: "began", attempt: ctx.attempt });
      if (process.env.FAIL_STEPS) throw new Error("failed on purpose");
      await finished(duration);
      await report({ n, step: i, state: "ended", attempt: ctx.attempt });
    });
  }
  await report({ n, state: "done", attempt: ctx.attempt });
};
all.load = () => makeFunction(client, { id: "load", retries: 2 }, { event: "load/wanted" }, loaded);
all["load-zero"] = () => makeFunction(client, { id: "load-zero", retries: 0 }, { event: "load/zero" }, loaded);
all.odd = () => makeFunction(client, { id: "odd" }, { event: "load/odd" }, async () => "odd");

const wanted = env("FUNCTIONS", "approval-request,voice-missed-call,queue-observer");
const names = wanted === "" ? [] : wanted.split(",");
const functions = names.map((name) => all[name]());

const app = new Hono();
app.get("/", (c) =>
  process.env.FAIL_PROBE ? c.text("failed on purpose", 503) : c.json({
    service: env("INNGEST_APP_ID", "system-bus-cluster"), status: "running", functions: names, count: names.length,
    worker: { role: env("WORKER_ROLE", "cluster"), sdk: version, duplicateFunctionIds: process.env.DUPLICATES ? [names[0]] : [] },
  }),
);
app.post("/finish", (c) => {
  const count = finishers.size;
  for (const finish of [...finishers]) finish();
  return c.json({ finished: count });
});
app.get("/version", (c) => c.text(env("TAG", "")));
const handler = makeHandler(client, functions);
app.on(["GET", "PUT", "POST"], "/api/inngest", async (c) => {
  const method = c.req.method;
  if (method === "POST" && process.env.REPORT_TO) await report({ state: "called" });
  if (method === "PUT") {
    if (process.env.CRASH_WHEN_ASKED) process.exit(7);
    const inBand = c.req.header("x-inngest-sync-kind") === "in_band";
    if (process.env.REFUSE_REGISTRATION && !inBand) return c.text("refused on purpose", 500);
  }
  return handler(c);
});

// A second client in the same worker is another app, at its own path.
if (process.env.SECOND_APP_ID) {
  const second = makeClient({ id: process.env.SECOND_APP_ID });
  const ask = makeFunction(second, { id: "ask", retries: 0 }, { event: "second/asked" }, (ctx) => step(ctx, "answer", slowMs));
  app.on(["GET", "PUT", "POST"], "/api/second", makeHandler(second, [ask]));
}

const register = async () => {
  const answer = await fetch(`http://127.0.0.1:${port}/api/inngest`, { method: "PUT" }).then((r) => r.text(), String);
  log({ registered: answer });
};

const started = () => {
  log({ listening: true, sdk: version });
  if (process.env.CRASH_AFTER_MS) setTimeout(() => process.exit(7), Number(process.env.CRASH_AFTER_MS));
  const after = process.env.REGISTER_AFTER_MS;
  // The real worker does the same some time after its start.
  if (after) setTimeout(register, Number(after));
};

// overwritten waits until the server's list shows functions for this app that are
// not this worker's own.
const overwritten = async () => {
  const app = env("INNGEST_APP_ID", "system-bus-cluster");
  const own = names.map((name) => `${app}-${name}`).sort().join();
  for (;;) {
    const answer = await fetch(`${process.env.INNGEST_BASE_URL}/v0/gql`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ query: "{apps{name functions{slug}}}" }),
    }).then((r) => r.json());
    const listed = answer.data.apps.find((a) => a.name === app)?.functions ?? [];
    if (listed.map((f) => f.slug).sort().join() !== own) return;
    await new Promise((done) => setTimeout(done, 50));
  }
};

// By default, this signal does not end the first process of a container.
process.on("SIGTERM", async () => {
  if (process.env.REGISTER_AT_END) {
    // An old pod does this if its timer fires after the new one has registered.
    await overwritten();
    await register();
  }
  process.exit(0);
});

if (process.env.LISTEN_AFTER_MS) await new Promise((done) => setTimeout(done, Number(process.env.LISTEN_AFTER_MS)));
if (globalThis.Bun) {
  Bun.serve({ port, hostname: host, fetch: app.fetch, idleTimeout: 0 });
  started();
} else {
  const { serve } = await import("@hono/node-server");
  serve({ fetch: app.fetch, port, hostname: host }, started);
}
