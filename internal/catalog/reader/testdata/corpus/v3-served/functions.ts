import { Inngest } from "inngest";
export const ing = new Inngest({ id: "corpus" });
export const served = ing.createFunction({ id: "served" }, { event: "s/served" }, async () => {});
export const alsoServed = ing.createFunction({ id: "also-served", retries: 1 }, { event: "s/also" }, async () => {});
export const notServed = ing.createFunction({ id: "not-served" }, { event: "s/not" }, async () => {});
