import { define } from "@/client";
export const hidden = define("override-hidden");
