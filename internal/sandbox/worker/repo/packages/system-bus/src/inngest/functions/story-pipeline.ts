import { hostname } from "node:os";
import { inngest } from "../client";

/**
 * A pipeline with one long step, as agents have them. The pod that ran each
 * step is in its result: a run that survived a restart names two.
 */
export const storyPipeline = inngest.createFunction(
  { id: "story-pipeline", retries: 2 },
  { event: "story/start.requested" },
  async ({ event, step }) => {
    const planned = await step.run("plan", async () => ({ pod: hostname() }));
    const implemented = await step.run("implement", async () => {
      const seconds = Number(event.data?.seconds ?? 0);
      await new Promise((done) => setTimeout(done, seconds * 1000));
      return { pod: hostname(), seconds };
    });
    return { planned, implemented };
  },
);
