import { Inngest } from "inngest";

export const inngest = new Inngest({
  // Host and cluster register as two apps, so that neither overwrites the other.
  id: (() => {
    const explicit = process.env.INNGEST_APP_ID?.trim();
    if (explicit) return explicit;
    return `system-bus-${process.env.WORKER_ROLE === "cluster" ? "cluster" : "host"}`;
  })(),
  isDev: ["1", "true"].includes(process.env.INNGEST_DEV ?? ""),
});
