import { define } from "@/client";
import * as a from "./circle-a";
export const circleB = define("circle-b");
export const later = () => a.PREFIX;
