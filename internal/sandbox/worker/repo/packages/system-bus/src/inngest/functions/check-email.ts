import { inngest } from "../client";

export const checkEmail = inngest.createFunction(
  { id: "check/email", retries: 2 },
  [{ cron: "0 */2 * * *" }, { event: "email/check.requested" }],
  async ({ step }) => step.run("check", async () => ({ unread: 0 })),
);
