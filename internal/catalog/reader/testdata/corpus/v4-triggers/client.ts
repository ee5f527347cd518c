import { Inngest } from "inngest";

export const app = new Inngest({ id: "corpus" });
