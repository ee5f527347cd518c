import { define } from "@/client";
const { starOne } = await import("./star-one");
export const awaited = define(await Promise.resolve("awaited"));
export const again = starOne;
export const settled = await Promise.all([define("settled-1"), Promise.resolve(define("settled-2"))]);
