import type { InngestFunction } from "inngest";
import { inngest } from "./client";

export const plain = inngest.createFunction({ id: "plain" }, { event: "app/user.created" }, async () => {});

export const named = inngest.createFunction(
  { id: "named", name: "Named → Ünïcode \u2603 \"quoted\"", retries: 2 },
  { event: "app/named" },
  async ({ event, step }) => {
    // A handler may contain anything: regular expressions, templates, types.
    const re = /[/"'`]{2}/g;
    const text = `a ${`nested ${event.name} }`} {`;
    await step.run("x", async (): Promise<string> => text.replace(re, "") as unknown as string);
    return <T,>(x: T) => x;
  },
);

export const zero = inngest.createFunction({ id: "zero", retries: 0 }, { event: "app/zero" }, async () => {});
export const many = inngest.createFunction({ id: "many", retries: 20 }, { event: "app/many" }, async () => {});

export const hourly = inngest.createFunction({ id: "hourly" }, { cron: "0 * * * *" }, async () => {});
export const zoned = inngest.createFunction(
  { id: "zoned", concurrency: 3 },
  { cron: "TZ=America/Los_Angeles 15 8 * * 1-5" },
  async () => {},
);

export const several = inngest.createFunction(
  {
    id: "several",
    concurrency: [
      { limit: 2, key: "event.data.id" },
      { limit: 10, scope: "account", key: '"gpu"' },
    ],
    throttle: { limit: 1, period: "1m" },
    cancelOn: [{ event: "app/cancel", match: "data.id" }],
  },
  [{ event: "app/a", if: "event.data.n > 1" }, { event: "app/b" }, { cron: "*/5 * * * *" }],
  async () => {},
);

export const failing = inngest.createFunction(
  { id: "failing", retries: 1, onFailure: async () => {}, concurrency: { limit: 1 } },
  { event: "app/failing" },
  async () => {},
);

export const slashed = inngest.createFunction({ id: "agent/slashed.id" }, { event: "app/slashed" }, async () => {});

// What version 2 had and version 3 still takes.
// @ts-expect-error
export const old = inngest.createFunction("old", "app/old", async () => {});

export default inngest.createFunction({ "id": 'default-export', 'retries': 0x3 }, { "event": `app/default` }, async () => {});

const renamed = inngest.createFunction({ id: "renamed" }, { event: "app/renamed" }, async () => {});
const alsoRenamed = inngest.createFunction({ id: "also-renamed" }, { event: "app/also" }, async () => {});
export { renamed as published, alsoRenamed as "string name" };

// Not exported, and what is no function.
export const EVENTS = ["app/a", "app/b"] as const;
export const helper = () => inngest.createFunction({ id: "never" }, { event: "app/never" }, async () => {});
export type Fn = InngestFunction.Any;
export class Unrelated { id = "unrelated"; }
