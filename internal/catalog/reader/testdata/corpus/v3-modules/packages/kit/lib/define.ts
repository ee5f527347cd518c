import { Inngest } from "inngest";

export const client = new Inngest({ id: "corpus" });
export function define(id: string, retries?: number) {
  return client.createFunction({ id, retries: retries as 1 }, { event: `kit/${id}` }, async () => {});
}
