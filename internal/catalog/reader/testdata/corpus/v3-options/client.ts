import { Inngest } from "inngest";

export const bus = new Inngest({ id: "corpus" });
