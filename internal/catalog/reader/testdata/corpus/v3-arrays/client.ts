import { Inngest } from "inngest";

export const inngest = new Inngest({ id: "corpus" });
export const make = (id: string, retries?: number) =>
  inngest.createFunction({ id, retries: retries as 1 }, { event: `array/${id}` }, async () => {});
