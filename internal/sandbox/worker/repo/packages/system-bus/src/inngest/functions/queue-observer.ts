import { inngest } from "../client";

const QUEUE_OBSERVER_CRON = "*/30 * * * *";

export const queueObserver = inngest.createFunction(
  { id: "queue/observer", retries: 1, concurrency: { limit: 1 } },
  { cron: QUEUE_OBSERVER_CRON },
  async ({ step }) => step.run("observe", async () => ({ depth: 0 })),
);

export const queueObserverRequested = inngest.createFunction(
  { id: "queue/observer-requested", retries: 1, concurrency: { limit: 1 } },
  { event: "queue/observer.requested" },
  async ({ step }) => step.run("observe", async () => ({ depth: 0 })),
);
