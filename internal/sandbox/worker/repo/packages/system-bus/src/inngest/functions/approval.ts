import { inngest } from "../client";

export const approvalRequest = inngest.createFunction(
  { id: "agent/approval-request", retries: 1 },
  { event: "agent/approval.requested" },
  async ({ event, step }) => {
    const submitted = await step.run("submit-request", async () => ({
      requestId: event.id ?? "unknown",
      category: String(event.data?.category ?? "none"),
    }));
    await step.run("notify", async () => `pending ${submitted.requestId}`);
    return submitted;
  },
);

export const approvalResolve = inngest.createFunction(
  { id: "agent/approval-resolve", retries: 1 },
  { event: "agent/approval.resolved" },
  async ({ event, step }) => step.run("resolve", async () => ({ status: String(event.data?.status ?? "denied") })),
);
