import { cron, eventType, invoke, staticSchema } from "inngest";
import { app } from "./client";

const created = eventType("order/created", { schema: staticSchema<{ id: string }>() });
const base = { retries: 1 as const, triggers: { event: "base/event" } };
const nightly = { triggers: [cron("0 3 * * *"), { event: "night/now" }] };
const handler = async () => {};

export const single = app.createFunction({ id: "single", triggers: { event: "a/single" } }, handler);
export const several = app.createFunction(
  { id: "several", retries: 0, triggers: [{ event: "a/one", if: "event.data.x == 'y'" }, { event: "a/two" }, { cron: "*/10 * * * *" }] },
  async ({ event, step }) => {
    await step.run("s", () => event.name);
  },
);
export const typed = app.createFunction({ id: "typed", triggers: [created] }, handler);
export const typedIf = app.createFunction({ id: "typed-if", triggers: [{ event: created, if: "event.data.id != ''" }] }, handler);
export const schedule = app.createFunction({ id: "schedule", triggers: cron("TZ=Europe/Vienna 5 4 * * *") }, handler);
export const invoked = app.createFunction({ id: "invoked", triggers: [invoke(staticSchema<{ n: number }>())] }, handler);
export const none = app.createFunction({ id: "none" }, handler);
export const hollow = app.createFunction({ id: "hollow", triggers: [{} as any, { event: undefined as any }, { event: "a/hollow" }] }, handler);
export const based = app.createFunction({ ...base, id: "based" }, handler);
export const overridden = app.createFunction({ ...base, ...nightly, id: "overridden" }, handler);
export const failing = app.createFunction(
  { id: "failing", triggers: [{ event: "a/failing" }], onFailure: async () => {}, concurrency: [{ limit: 2, key: "event.data.id" }] },
  handler,
);
const make = (name: string, ...events: string[]) =>
  app.createFunction({ id: `made-${name}`, name: name.toUpperCase(), triggers: events.map((event) => ({ event })) }, handler);
export const made = [make("a", "m/a", "m/b"), make("b")];
export const jittered = app.createFunction({ id: "jittered", triggers: [{ cron: "0 * * * *", jitter: "30s" }] }, handler);
